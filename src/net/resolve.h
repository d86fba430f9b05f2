// From a host's name to its addresses, within a deadline.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/task.h"

namespace hailstone::net {

/// Numeric addresses need no look-up. `wake` is the caller's: cancelling it makes the wait ask `wanted` again.
/// Timeout: no answer by the deadline; the look-up itself can't be cancelled and is left behind. Unavailable: no such
/// name, or not `wanted` any more.
Task<Result<std::vector<Tcp::endpoint>>> resolve(std::shared_ptr<Timer> wake, std::string host, uint16_t port,
                                                 SteadyTime deadline, std::function<bool()> wanted);

/// 127.0.0.0/8, ::1, and the first mapped into IPv6.
bool is_loopback(const asio::ip::address& address);

}  // namespace hailstone::net
