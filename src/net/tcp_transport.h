// The transport over TCP, plain or mutual TLS 1.3: one thread, one port, a connection each way between two nodes.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/logger.h"
#include "net/tls.h"
#include "net/transport.h"

namespace hailstone::net {

struct TcpOptions {
  NodeId self;
  std::string cell;                       // nodes of other cells are refused; 1 to 64 bytes
  uint64_t incarnation = 0;               // of this process; for the peers' metrics
  std::string listen_host = "127.0.0.1";  // numeric
  uint16_t listen_port = 0;               // 0: any
  std::optional<TlsFiles> tls;            // none: plain
  /// Without TLS anybody who reaches the port can speak for any node.
  enum class Plain : uint8_t { LoopbackOnly, Anywhere };
  Plain plain = Plain::LoopbackOnly;

  int heartbeat_ms = 500;         // between pings
  int dead_after_ms = 2000;       // a peer that is silent for that long is disconnected; more than heartbeat_ms
  int connect_timeout_ms = 2000;  // until both sides have said hello; for each address
  int backoff_min_ms = 10;        // between attempts: doubled each time, half of it random
  int backoff_max_ms = 1000;
  int stop_timeout_ms = 1000;          // for what is queued when stopping
  size_t queue_bytes_max = 32u << 20;  // per peer; a frame is taken by an empty queue whatever its length
  /// Empty when usable, else what is wrong.
  std::string problem() const;
};

struct TcpMetrics {
  uint64_t accepted = 0;  // connections that came in
  uint64_t refused = 0;   // of these: not a node's, or not one for us
  uint64_t corrupt = 0;   // connections ended by a frame that does not verify
};

class TcpLoop;

class TcpTransport final : public Transport {
 public:
  /// Listens. The receiver hears nothing before the first set_peers(). Denied: plain where that is not allowed;
  /// Invalid: options or files that won't do; Io: the address can't be listened on. Receiver and logger outlive the
  /// transport.
  static Result<std::unique_ptr<TcpTransport>> start(TcpOptions options, Receiver& receiver, Logger& logger);
  ~TcpTransport() override;  // stops
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

  uint16_t port() const { return port_; }
  bool send(NodeId to, uint8_t channel, Bytes payload) override;
  void post(std::function<void()> work) override;
  /// Denied, too: a peer that is not on loopback, without TLS.
  Result<void> set_peers(std::vector<PeerAddress> peers) override;
  std::vector<PeerMetrics> metrics() const override;
  TcpMetrics tcp_metrics() const;
  void stop() override;

 private:
  explicit TcpTransport(std::unique_ptr<TcpLoop> loop);

  std::unique_ptr<TcpLoop> loop_;
  uint16_t port_ = 0;
  std::thread thread_;
  std::mutex stop_mutex_;  // two threads may stop at once
};

}  // namespace hailstone::net
