// Where a cell's members can be reached: a static list, or what DNS says (SRV records, RFC 2782).
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "net/task.h"

namespace hailstone::net {

struct HostPort {
  std::string host;  // a name or a numeric address, without brackets
  uint16_t port = 0;
  auto operator<=>(const HostPort&) const = default;
};
/// "host:port", "[2001:db8::1]:port".
std::string to_string(const HostPort& at);
/// Of the same form; Invalid, naming what is wrong.
Result<HostPort> parse_host_port(ByteView text);

/// How a cell is named: one or more "host:port" separated by commas, or "srv:DOMAIN": what
/// `_hailstone._tcp.DOMAIN` lists.
struct CellAddress {
  std::vector<HostPort> members;  // of a static list, in its order; empty: domain
  std::string domain;
  bool operator==(const CellAddress&) const = default;
  /// Invalid, naming what is wrong.
  static Result<CellAddress> parse(ByteView text);
};

struct SrvRecord {
  uint16_t priority = 0, weight = 0;
  HostPort target;
  bool operator==(const SrvRecord&) const = default;
};
/// Of a whole answer, in its order. NotFound: no such name, no such record, or "." as the only target: there is
/// decidedly none. Unavailable: the server could not tell. Corrupt: malformed.
Result<std::vector<SrvRecord>> parse_srv_answer(ByteView message);
/// In the order in which to try them (RFC 2782, "Usage rules"): lower priorities first; within one, drawn by weight.
/// Another seed, another draw.
std::vector<HostPort> order_by_priority_and_weight(std::vector<SrvRecord> records, uint64_t seed);

struct ResolverOptions {
  std::vector<HostPort> servers;  // numeric; none: those of /etc/resolv.conf; at most 3 are asked, in turn
  int timeout_s = 2;              // for an answer of one server, longer in later rounds
  int rounds = 2;
};
/// Blocks until there is an answer or all rounds are over: Timeout, or Unavailable when no server can be reached.
/// Answers that UDP cuts short are asked for again over TCP.
Result<std::vector<SrvRecord>> look_up_srv(const std::string& domain, const ResolverOptions& options);

/// Look-ups for an event loop, on a thread of its own, which is there from the first one on. Its end waits for the one
/// that is under way.
class SrvResolver {
 public:
  explicit SrvResolver(ResolverOptions options) : options_(std::move(options)) {}
  ~SrvResolver();
  SrvResolver(const SrvResolver&) = delete;
  SrvResolver& operator=(const SrvResolver&) = delete;
  /// `done` runs on the loop, unless that ends before.
  void look_up(std::string domain, Executor loop, std::function<void(Result<std::vector<SrvRecord>>)> done);

 private:
  const ResolverOptions options_;
  std::unique_ptr<asio::thread_pool> thread_;
};

}  // namespace hailstone::net
