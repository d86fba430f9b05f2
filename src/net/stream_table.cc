// What the caller asks for, and what an open stream does.
#include "net/stream_table.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace hailstone::net {
namespace {

std::chrono::milliseconds ms(int64_t n) { return std::chrono::milliseconds(n); }

}  // namespace

// ---- for the caller ----

Result<uint16_t> StreamTable::listen(const std::string& host, uint16_t port) {
  SocketError error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return fail(Code::Invalid, fmt::format("listen on '{}': not a numeric address", printable(host)));
  if (!is_allowed(address))
    return fail(Code::Denied, fmt::format("listen on {} without TLS: anybody could be any client: give certificates, "
                                          "or allow plain connections",
                                          host));
  auto acceptor = std::make_shared<Acceptor>(loop_);
  const Tcp::endpoint endpoint(address, port);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(Code::Io, fmt::format("listen on {}:{}: {}", host, port, error.message()));
  acceptors_.push_back(acceptor);
  asio::co_spawn(loop_, accept(shared_from_this(), acceptor), asio::detached);
  begin_sweeping();
  return acceptor->local_endpoint().port();
}

void StreamTable::stop_listening() {
  for (const auto& acceptor : std::exchange(acceptors_, {})) {
    SocketError ignored;
    acceptor->close(ignored);
  }
}

StreamId StreamTable::connect(std::string host, uint16_t port) {
  const StreamPtr stream = add_stream(Socket(loop_), Side::Dialled, options_.connect_timeout_ms);
  stream->lookup = std::make_shared<Timer>(loop_);
  asio::co_spawn(loop_, dial(shared_from_this(), stream, std::move(host), port), asio::detached);
  begin_sweeping();
  return stream->id;
}

bool StreamTable::send(StreamId id, uint8_t channel, Bytes payload) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || !found->second->open || found->second->closing) return false;
  Stream& stream = *found->second;
  const size_t bytes = kFrameHeaderBytes + payload.size();
  if (payload.size() > kPayloadBytesMax) return false;
  switch (stream.outbox->push(channel, std::move(payload))) {
    case Outbox::Pushed::Dropped:
      ++metrics_.cut;
      close(id, Streams::Close::Now,
            {Code::Exhausted, fmt::format("reads too slowly: {} bytes are queued, at most {}",
                                          stream.outbox->queue_bytes(), options_.queue_bytes_max)});
      return false;
    case Outbox::Pushed::First: flush_soon(stream.link); break;
    case Outbox::Pushed::Queued: break;
  }
  ++metrics_.frames_out;
  metrics_.bytes_out += bytes;
  return true;
}

uint64_t StreamTable::queue_bytes(StreamId id) const {
  const auto found = streams_.find(id);
  return found != streams_.end() && found->second->open ? found->second->outbox->queue_bytes() : 0;
}

void StreamTable::close(StreamId id, Streams::Close how, Error reason) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = *found->second;
  if (!stream.closing) stream.closing = std::move(reason);
  if (how == Streams::Close::Now || !stream.open) {
    stream.link->close(*stream.closing);
    if (stream.lookup != nullptr) stream.lookup->cancel();
    return;
  }
  stream.outbox->seal();
  stream.link->deadline = SteadyClock::now() + ms(options_.close_timeout_ms);
  if (stream.outbox->queue_bytes() == 0 && stream.link->flushed()) stream.link->shutdown_send();
}

void StreamTable::stop() {
  if (std::exchange(stopped_, true)) return;
  stop_listening();
  sweep_timer_.cancel();
  for (const auto& [id, stream] : streams_) {
    stream->link->close({Code::Cancelled, "stopped"});
    if (stream->lookup != nullptr) stream->lookup->cancel();
  }
}

// ---- streams ----

std::shared_ptr<Link> StreamTable::new_link(Socket socket, Side side, int timeout_ms) {
  auto link = std::make_shared<Link>(std::move(socket), tls_.get(), side, scratch_.get(), Link::Idle::FreesBuffers);
  link->deadline = SteadyClock::now() + ms(timeout_ms);
  return link;
}

StreamPtr StreamTable::add_stream(Socket socket, Side side, int timeout_ms) {
  auto stream = std::make_shared<Stream>();
  stream->id = StreamId(++last_id_);
  stream->link = new_link(std::move(socket), side, timeout_ms);
  streams_[stream->id] = stream;
  return stream;
}

void StreamTable::end(const StreamPtr& stream, Error reason) {
  stream->link->close(reason);
  if (stream->outbox != nullptr) stream->outbox->close();
  if (stream->closing) reason = *stream->closing;
  streams_.erase(stream->id);
  strangers_.erase(stream->id);
  handshaking_.erase(stream->id);
  if (stream->remote) {
    --accepted_;
    if (const auto found = remotes_.find(*stream->remote); --found->second == 0) remotes_.erase(found);
  }
  if (stream->open) --metrics_.open;
  if (!stopped_ && (stream->open || stream->link->side() == Side::Dialled)) receiver_.on_closed(stream->id, reason);
}

Task<Result<StreamPeer>> StreamTable::authenticate(StreamPtr stream) {
  Link& link = *stream->link;
  StreamPeer peer{std::string(kAnonymous), remote_of(link.socket())};
  if (!link.secure()) co_return peer;
  CO_TRY_DO(co_await link.handshake());
  CO_TRY(peer.principal, link.tls().principal());
  // Whoever may only dial can't stand in for a node.
  if (link.side() == Side::Dialled && !is_node_name(peer.principal))
    co_return fail(Code::Denied, fmt::format("its certificate is for '{}', not for a node", printable(peer.principal)));
  co_return peer;
}

/// Returns why it ended.
Task<Error> StreamTable::converse(StreamPtr stream) {
  const auto peer = co_await authenticate(stream);
  const std::shared_ptr<Link> link = stream->link;
  if (link->closed()) co_return link->reason();
  if (!peer) co_return peer.error();
  stream->outbox = std::make_shared<Outbox>(options_.queue_bytes_max);
  stream->outbox->open();
  stream->open = true;
  handshaking_.erase(stream->id);
  ++metrics_.open;
  link->attach(stream->outbox);
  link->on_written([this, id = stream->id] { written(id); });
  if (link->side() == Side::Dialled) link->deadline = SteadyTime::max();
  receiver_.on_open(stream->id, *peer);
  while (!link->closed()) {
    FrameView frame;
    const auto length = read_frame(link->input(), frame, options_.payload_bytes_max);
    if (!length) co_return length.error();
    if (*length == 0) {
      const auto more = co_await link->receive();
      if (!more) co_return more.error();
      continue;
    }
    metrics_.bytes_in += *length;
    if (const auto taken = take_frame(*stream, frame); !taken) co_return taken.error();
    link->consume(*length);
  }
  co_return link->reason();
}

Result<void> StreamTable::take_frame(Stream& stream, const FrameView& frame) {
  Link& link = *stream.link;
  switch (frame.type) {
    case FrameType::Data:
      ++metrics_.frames_in;
      if (stream.closing) return {};
      if (strangers_.erase(stream.id) > 0) link.deadline = SteadyTime::max();
      receiver_.on_frame(stream.id, frame.channel, frame.payload);
      return {};
    case FrameType::Ping:
      // A peer that doesn't read its pongs gets no more of them.
      if (!link.flushed()) return {};
      link.append(encode_frame(FrameType::Pong, 0, frame.payload));
      flush_soon(stream.link);
      return {};
    case FrameType::Pong:
      if (!std::exchange(link.pinged, false)) return fail(Code::Corrupt, "a pong that nobody asked for");
      return {};
  }
  return fail(Code::Unsupported, "frame");
}

void StreamTable::flush_soon(const std::shared_ptr<Link>& link) {
  unflushed_.push_back(link);
  if (unflushed_.size() > 1) return;
  asio::post(loop_, [self = shared_from_this()] {
    for (const auto& each : std::exchange(self->unflushed_, {})) each->flush();
  });
}

void StreamTable::written(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || stopped_) return;
  const Stream& stream = *found->second;
  const uint64_t queued = stream.outbox->queue_bytes();
  if (!stream.closing) return receiver_.on_written(id, queued);
  if (queued == 0 && stream.link->flushed()) stream.link->shutdown_send();
}

}  // namespace hailstone::net
