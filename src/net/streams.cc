#include "net/streams.h"

#include <fmt/format.h>

#include <utility>

#include "net/stream_table.h"

namespace hailstone::net {

std::string StreamOptions::problem() const {
  if (connect_timeout_ms < 1 || handshake_timeout_ms < 1 || close_timeout_ms < 0)
    return fmt::format("connect_timeout_ms {}, handshake_timeout_ms {}, close_timeout_ms {}", connect_timeout_ms,
                       handshake_timeout_ms, close_timeout_ms);
  if (ping_after_ms < 1 || dead_after_ms < 1)
    return fmt::format("ping_after_ms {} and dead_after_ms {}", ping_after_ms, dead_after_ms);
  if (connections_max < 1 || connections_per_address_max < 1) return "connections_max 0";
  if (handshakes_max < 1) return "handshakes_max 0";
  if (payload_bytes_max > kPayloadBytesMax)
    return fmt::format("payload_bytes_max {}, at most {}", payload_bytes_max, kPayloadBytesMax);
  return "";
}

Streams::Streams(std::shared_ptr<StreamTable> table) : table_(std::move(table)) {}
Streams::~Streams() { stop(); }

Result<std::unique_ptr<Streams>> Streams::make(asio::io_context& loop, StreamOptions options, StreamReceiver& receiver,
                                               Logger& logger) {
  if (const std::string problem = options.problem(); !problem.empty())
    return fail(Code::Invalid, "streams: " + problem);
  auto table = std::make_shared<StreamTable>(loop, std::move(options), receiver, logger);
  if (auto loaded = table->load(); !loaded) return std::unexpected(std::move(loaded).error().within("streams"));
  return std::unique_ptr<Streams>(new Streams(std::move(table)));
}

Result<uint16_t> Streams::listen(const std::string& host, uint16_t port) { return table_->listen(host, port); }
void Streams::stop_listening() { table_->stop_listening(); }
StreamId Streams::connect(std::string host, uint16_t port) { return table_->connect(std::move(host), port); }
bool Streams::send(StreamId stream, uint8_t channel, Bytes payload) {
  return table_->send(stream, channel, std::move(payload));
}
uint64_t Streams::queue_bytes(StreamId stream) const { return table_->queue_bytes(stream); }
void Streams::close(StreamId stream, Close how, Error reason) { table_->close(stream, how, std::move(reason)); }
StreamMetrics Streams::metrics() const { return table_->metrics(); }
void Streams::stop() { table_->stop(); }

}  // namespace hailstone::net
