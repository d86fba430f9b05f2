// A parent process that starts a node's process, tells the other nodes at once when it has died, and starts it again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/logger.h"
#include "net/tcp_transport.h"
#include "paxos/types.h"

namespace hailstone::replica {

/// What the supervisor must know to speak for the node once it is dead.
struct Ward {
  paxos::LifeId life;
  net::NodeId node;
  std::string cell;
  std::optional<net::TlsFiles> tls;
  net::TcpOptions::Plain plain = net::TcpOptions::Plain::LoopbackOnly;
  std::vector<net::PeerAddress> peers;

  Bytes encode() const;
  static Result<Ward> decode(ByteView bytes);
};

/// The way from the node's process to its supervisor. Does nothing in a process that has none.
class WardReporter {
 public:
  explicit WardReporter(int fd = -1) : fd_(fd) {}
  /// At the start and whenever something changes. Io when it can't be said.
  Result<void> report(const Ward& ward) const;

 private:
  int fd_;
};

/// Calls `run` in a child process, before any thread is started here. Leases are given up within milliseconds of its
/// death instead of running out: with waitpid() the process is known to be gone, and the message is sent under the
/// node's own key (paxos::Obituary). SIGTERM and SIGINT are handed on. Returns the exit status when the child exits
/// with 0 or before it ever reported; else it is started again, after a pause that grows while it keeps dying.
int supervise(const std::function<int(const WardReporter&)>& run, Logger& logger);

}  // namespace hailstone::replica
