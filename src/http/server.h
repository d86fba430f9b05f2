// The HTTP/1.1 server: a thread per core, each with its own io_context, listener (SO_REUSEPORT) and handler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/logger.h"
#include "http/message.h"

namespace hailstone::http {

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;            // 0: any free one; see Server::port()
  uint32_t threads = 0;         // 0: one per core
  std::string tls_certificate;  // PEM chain file; with tls_key switches TLS 1.2+ on
  std::string tls_key;
  uint32_t head_bytes_max = 32u << 10;  // request line and fields together: 431 beyond it
  uint32_t fields_max = 100;            // 431
  uint32_t connections_max = 10'000;    // over all threads; the newest are refused with 503 and closed
  uint32_t head_timeout_ms = 15'000;    // from the first byte of a request to the end of its head: 408
  uint32_t idle_timeout_ms = 75'000;    // between requests of a kept-alive connection
  uint32_t stall_timeout_ms = 30'000;   // a body transfer, either way, without a byte of progress
  uint32_t min_bytes_per_second = 256;  // average over a body's life after the first stall_timeout; slower is cut
  uint32_t requests_per_connection_max = 100'000;
  uint32_t drain_timeout_ms = 30'000;  // on stop(): what is under way may finish this long

  Result<void> validate() const;
};

struct ServerStats {
  uint64_t connections_open = 0, connections_total = 0, requests_total = 0, bytes_sent = 0, bytes_received = 0;
  uint64_t responses_by_class[6] = {};  // [2] = 2xx ...
  uint64_t timeouts = 0, rejected = 0, parse_errors = 0;
};

class Server {
 public:
  /// `make_handler` is called once per thread, on that thread. Binds before it returns; serving starts with run().
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& options,
                                                std::function<std::unique_ptr<Handler>(unsigned thread)> make_handler,
                                                Logger& logger);
  virtual ~Server() = default;
  /// Starts the threads and returns.
  virtual void start() = 0;
  /// Stops accepting, answers what is under way (with Connection: close), then stops the threads; at most
  /// drain_timeout_ms. Idempotent.
  virtual void stop() = 0;
  virtual uint16_t port() const = 0;
  virtual ServerStats stats() const = 0;
};

}  // namespace hailstone::http
