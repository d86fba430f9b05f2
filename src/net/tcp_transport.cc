#include "net/tcp_transport.h"

#include <fmt/format.h>

#include "base/check.h"
#include "net/frame.h"
#include "net/tcp_loop.h"

namespace hailstone::net {

std::string TcpOptions::problem() const {
  if (!self) return "node id 0";
  if (cell.empty() || cell.size() > kCellBytesMax)
    return fmt::format("cell '{}': 1 to {} bytes", printable(cell), kCellBytesMax);
  if (heartbeat_ms < 1 || dead_after_ms <= heartbeat_ms)
    return fmt::format("heartbeat_ms {} and dead_after_ms {}: the second must be longer", heartbeat_ms, dead_after_ms);
  if (connect_timeout_ms < 1) return fmt::format("connect_timeout_ms {}", connect_timeout_ms);
  if (backoff_min_ms < 1 || backoff_max_ms < backoff_min_ms)
    return fmt::format("backoff of {} to {} ms", backoff_min_ms, backoff_max_ms);
  if (stop_timeout_ms < 0) return fmt::format("stop_timeout_ms {}", stop_timeout_ms);
  return "";
}

TcpTransport::TcpTransport(std::unique_ptr<TcpLoop> loop)
    : loop_(std::move(loop)), port_(loop_->port()), thread_([this] { loop_->run(); }) {}

Result<std::unique_ptr<TcpTransport>> TcpTransport::start(TcpOptions options, Receiver& receiver, Logger& logger) {
  if (const std::string problem = options.problem(); !problem.empty()) return fail(Code::Invalid, "net: " + problem);
  auto loop = std::make_unique<TcpLoop>(std::move(options), receiver, logger);
  TRY_DO(loop->listen());
  return std::unique_ptr<TcpTransport>(new TcpTransport(std::move(loop)));
}

TcpTransport::~TcpTransport() { stop(); }

bool TcpTransport::send(NodeId to, uint8_t channel, Bytes payload) {
  return loop_->send(to, channel, std::move(payload));
}

void TcpTransport::post(std::function<void()> work) { loop_->post(std::move(work)); }

Result<void> TcpTransport::set_peers(std::vector<PeerAddress> peers) { return loop_->set_peers(std::move(peers)); }

std::vector<PeerMetrics> TcpTransport::metrics() const { return loop_->metrics(); }

TcpMetrics TcpTransport::tcp_metrics() const { return loop_->tcp_metrics(); }

void TcpTransport::stop() {
  const std::scoped_lock lock(stop_mutex_);
  if (!thread_.joinable()) return;
  CHECK(std::this_thread::get_id() != thread_.get_id());
  loop_->request_stop();
  thread_.join();
}

}  // namespace hailstone::net
