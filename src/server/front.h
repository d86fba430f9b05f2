// Hands each request to the API, the depot, or health and metrics; answers for the node while it opens and when it
// stops.
#pragma once

#include <atomic>
#include <memory>

#include "api/handler.h"
#include "depot/depot.h"
#include "http/offload.h"
#include "server/cell_service.h"
#include "server/janitor.h"
#include "server/node.h"

namespace hailstone::server {

/// What all threads' fronts share: nothing but health until open(), the node's services after it.
class FrontShared {
 public:
  FrontShared(const Config& config, Logger& logger);
  ~FrontShared();

  /// For metrics; before start().
  void set_server(const http::Server* server) { server_ = server; }
  void set_s3_server(const http::Server* server) { s3_server_ = server; }
  /// For health and metrics; where this node is a member of a cell.
  void set_cell(const CellService* cell) { cell_.store(cell, std::memory_order_release); }
  const CellService* cell() const { return cell_.load(std::memory_order_acquire); }
  /// From here on requests are served. `node` and `janitor` stay until close().
  void open(Node& node, Janitor& janitor);
  /// What it does until then: a literal, for /readyz.
  void set_phase(const char* phase) { phase_.store(phase, std::memory_order_release); }
  /// /readyz says 503 from here on, so that balancers go elsewhere; requests are still served.
  void drain() { draining_ = true; }
  /// After the server has stopped: forgets the node.
  void close();

  struct Services;
  /// Null until open(). The pointer is written once, before the flag that publishes it.
  Services* services() const { return ready_.load(std::memory_order_acquire) ? services_.get() : nullptr; }
  bool draining() const { return draining_; }
  const char* phase() const { return phase_.load(std::memory_order_acquire); }
  /// "X-Hailstone-Node: 3\r\n": which node answered, for those who ask a balancer.
  const Bytes& node_header() const { return node_header_; }
  const http::Server* server() const { return server_; }
  const http::Server* s3_server() const { return s3_server_; }
  const Config& config() const { return config_; }
  Logger& logger() const { return logger_; }

 private:
  const Config& config_;
  Logger& logger_;
  const http::Server* server_ = nullptr;
  const http::Server* s3_server_ = nullptr;  // null: S3 is off
  std::atomic<const CellService*> cell_{nullptr};
  std::unique_ptr<Services> services_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> draining_{false};
  std::atomic<const char*> phase_{"opening the store"};
  const Bytes node_header_;
};

/// One per server thread.
class Front final : public http::Handler {
 public:
  explicit Front(FrontShared& shared) : shared_(shared) {}
  http::Task<http::Response> handle(http::Request request) override;

 private:
  http::Response health(std::string_view path) const;
  http::Response metrics() const;

  FrontShared& shared_;
  std::unique_ptr<depot::Depot> depot_;  // made at the thread's first request after open()
  std::unique_ptr<http::Handler> api_;
};

/// One per thread of the S3 server.
class S3Front final : public http::Handler {
 public:
  explicit S3Front(FrontShared& shared) : shared_(shared) {}
  http::Task<http::Response> handle(http::Request request) override;

 private:
  FrontShared& shared_;
  std::unique_ptr<http::Handler> s3_;
};

}  // namespace hailstone::server
