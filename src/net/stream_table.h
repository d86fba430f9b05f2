// The connections behind Streams: accepting, dialling, frames, deadlines.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "net/link.h"
#include "net/resolve.h"
#include "net/streams.h"

namespace hailstone::net {

struct Stream {
  StreamId id;
  std::shared_ptr<Link> link;
  std::shared_ptr<Timer> lookup;            // of one that dials
  std::shared_ptr<Outbox> outbox;           // once open
  std::optional<Error> closing;             // close() was called
  std::optional<asio::ip::address> remote;  // of one that came in: counted
  bool open = false;
};
using StreamPtr = std::shared_ptr<Stream>;

/// Coroutines keep it. After stop() they find their links closed, and end without another call to the receiver.
class StreamTable : public std::enable_shared_from_this<StreamTable> {
 public:
  StreamTable(asio::io_context& loop, StreamOptions options, StreamReceiver& receiver, Logger& logger)
      : options_(std::move(options)), loop_(loop), receiver_(receiver), logger_(logger), sweep_timer_(loop) {}

  Result<void> load() {
    if (options_.tls) {
      TRY(tls_, TlsContext::load(*options_.tls));
    }
    return {};
  }
  Result<uint16_t> listen(const std::string& host, uint16_t port);
  void stop_listening();
  StreamId connect(std::string host, uint16_t port);
  bool send(StreamId id, uint8_t channel, Bytes payload);
  uint64_t queue_bytes(StreamId id) const;
  void close(StreamId id, Streams::Close how, Error reason);
  StreamMetrics metrics() const { return metrics_; }
  void stop();

 private:
  using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
  using Self = std::shared_ptr<StreamTable>;

  StreamPtr add_stream(Socket socket, Side side, int timeout_ms);
  std::shared_ptr<Link> new_link(Socket socket, Side side, int timeout_ms);
  bool is_allowed(const asio::ip::address& address) const {
    return tls_ != nullptr || options_.plain == StreamOptions::Plain::Anywhere || is_loopback(address);
  }

  Task<void> accept(Self self, std::shared_ptr<Acceptor> acceptor);
  void admit(Socket socket);
  void displace(StreamId stranger);
  Task<void> serve(Self self, StreamPtr stream);
  Task<void> dial(Self self, StreamPtr stream, std::string host, uint16_t port);
  Task<Error> reach(StreamPtr stream, Tcp::endpoint endpoint);
  Task<Result<StreamPeer>> authenticate(StreamPtr stream);
  Task<Error> converse(StreamPtr stream);
  Result<void> take_frame(Stream& stream, const FrameView& frame);
  void end(const StreamPtr& stream, Error reason);

  void flush_soon(const std::shared_ptr<Link>& link);
  void written(StreamId id);
  void begin_sweeping();
  Task<void> sweep(Self self);
  static void excuse(Link& link, SteadyTime now, SteadyClock::duration slept);
  void sweep_stream(Stream& stream, SteadyTime now);

  const StreamOptions options_;
  asio::io_context& loop_;
  StreamReceiver& receiver_;
  Logger& logger_;
  std::unique_ptr<TlsContext> tls_;
  // Of all connections: what each would have of its own is the largest part of ten thousand idle ones.
  const std::unique_ptr<char[]> scratch_ = std::make_unique_for_overwrite<char[]>(Link::kScratchBytes);
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  Timer sweep_timer_;
  uint64_t last_id_ = 0;
  std::unordered_map<StreamId, StreamPtr> streams_;
  std::set<StreamId> strangers_;                 // came in, and have not sent a frame: the oldest first
  std::set<StreamId> handshaking_;               // of these, that are not authenticated: the oldest first
  std::map<asio::ip::address, size_t> remotes_;  // of those that came in
  size_t accepted_ = 0;                          // of streams_
  std::vector<std::shared_ptr<Link>> unflushed_;
  bool sweeping_ = false, stopped_ = false;
  StreamMetrics metrics_;
};

}  // namespace hailstone::net
