#include "http/connection.h"

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <charconv>
#include <exception>

#include "base/check.h"
#include "http/grammar.h"

namespace hailstone::http {
namespace {

using Progress = Transport::Progress;

constexpr size_t kInputBytes = 4u << 10;           // enough for nearly every head; kept by an idle connection
constexpr size_t kChunkRoomBytes = 4u << 10;       // space for chunk framing behind a head
constexpr uint64_t kInMemoryBytesMax = 16u << 10;  // file parts up to this are read and sent with their head
constexpr size_t kSpliceBytesMin =
    24u << 10;                              // pages are sent without a copy from this size: below, the copy is cheaper
constexpr size_t kCopyBytesMax = 2u << 10;  // joined to its head: cheaper than a second piece for the kernel
constexpr size_t kCoalesceBytesMax = 64u << 10;  // responses to pipelined requests gather up to this
constexpr uint64_t kDrainBytesMax = 256u << 10;  // of an unread request body, to keep the connection
constexpr uint64_t kLingerBytesMax = 1u << 20;
constexpr int64_t kLingerMs = 2000;
constexpr int64_t kDrainGoodbyeMs = 20;  // for a TLS client's goodbye, when the server stops: ours is sent at once

std::string peer_text(const Socket& socket) {
  SocketError error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

ByteView memory_of(const Part& part) {
  if (const auto* bytes = std::get_if<Bytes>(&part)) return *bytes;
  if (const auto* pages = std::get_if<PageSpan>(&part)) return pages->bytes;
  const auto* span = std::get_if<SharedSpan>(&part);
  if (span == nullptr || span->length == 0) return {};
  CHECK(span->bytes != nullptr && span->offset <= span->bytes->size() &&
        span->length <= span->bytes->size() - span->offset);
  return ByteView(*span->bytes).substr(span->offset, span->length);
}

// True when all of [offset, offset+size) was there.
bool read_file(int fd, char* out, size_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t count = ::pread(fd, out, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out += count;
    size -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
  return true;
}

Response refusal(int status, std::string_view text) {
  Response response = Response::text(status, Bytes(text) + "\n");
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace

Connection::Connection(Worker& worker, Socket socket)
    : worker_(worker),
      transport_(std::move(socket), worker.tls()),
      peer_(peer_text(transport_.socket())),
      in_(kInputBytes),
      parser_(HeadLimits{worker.options().head_bytes_max, worker.options().fields_max}) {
  worker_.enter(*this);
}

Connection::~Connection() { worker_.leave(*this); }

Task<void> Connection::run() {
  if (transport_.secure()) {
    start_wait(Wait::Handshake, coarse_now_ms() + worker_.options().head_timeout_ms, nullptr);
    const SocketError error = co_await transport_.handshake();
    end_wait();
    if (error || expired_) co_return;
  }
  while (true) {
    const Next next = co_await next_request();
    if (next == Next::Over) break;
    if (next == Next::Rejected) {
      if (co_await send_refusal()) co_await linger();
      break;
    }
    if (!co_await serve_request()) {
      transport_.reset();
      co_return;
    }
    if (keep_alive_ && co_await drain_body()) continue;
    // A close with bytes unread would be a reset and could kill the response under way.
    const bool more_may_come = !decoder_.ended() || !in_.empty() || (head_.keep_alive && !worker_.draining());
    if (more_may_come) co_await linger();
    break;
  }
  if (transport_.secure()) {
    expired_ = false;
    const int64_t patience_ms = worker_.draining() ? kDrainGoodbyeMs : kLingerMs;
    start_wait(Wait::Linger, coarse_now_ms() + patience_ms, nullptr);
    co_await transport_.shutdown_tls();
    end_wait();
  }
}

// Reads until a head is whole. What was gathered of earlier responses goes out before any wait.
Task<Connection::Next> Connection::next_request() {
  parser_.reset();
  in_.unpin();
  int64_t head_deadline_ms = 0;  // runs from the first byte
  while (true) {
    if (!in_.empty()) {
      Parsed parsed = parser_.parse(in_.unread(), head_);
      if (parsed.state == Parsed::State::Rejected) {
        reject_ = parsed.reason;
        co_return Next::Rejected;
      }
      if (parsed.state == Parsed::State::Done) {
        if (head_.chunked && in_.space_behind(parsed.head_bytes) < kChunkRoomBytes) {
          in_.grow(parsed.head_bytes + in_.unread().size() + 2 * kChunkRoomBytes);
          parser_.reset();
          parsed = parser_.parse(in_.unread(), head_);
        }
        in_.pin(parsed.head_bytes);
        decoder_ = BodyDecoder::of(head_);
        continue_due_ = head_.expects_continue;
        body_broken_ = false;
        receiving_ = sending_ = {};
        ++requests_;
        co_return Next::Request;
      }
    }
    if (!out_.empty() && !co_await flush()) {
      transport_.reset();
      co_return Next::Over;
    }
    if (worker_.draining() && in_.empty()) co_return Next::Over;
    if (!in_.compact()) in_.grow(2 * in_.capacity());
    Wait wait = requests_ == 0 ? Wait::First : Wait::Idle;
    const int64_t now = coarse_now_ms();
    const ServerOptions& options = worker_.options();
    int64_t deadline = now + (wait == Wait::First ? options.head_timeout_ms : options.idle_timeout_ms);
    if (!in_.empty()) {
      if (head_deadline_ms == 0) head_deadline_ms = now + options.head_timeout_ms;
      wait = Wait::Head;
      deadline = head_deadline_ms;
    }
    start_wait(wait, deadline, nullptr);
    const Received received = co_await transport_.receive(in_.space(), in_.space_bytes(), Transport::Eager::No);
    end_wait();
    // A request that crossed our farewell is still answered.
    if (expired_ && worker_.draining() && received.count > 0) expired_ = false;
    if (expired_) {
      reject_ = Reject::HeadTimeout;
      co_return wait == Wait::Head ? Next::Rejected : Next::Over;
    }
    if (received.error || received.count == 0) co_return Next::Over;
    worker_.counting().bytes_received.add(received.count);
    in_.filled(received.count);
  }
}

Task<bool> Connection::send_refusal() {
  expired_ = false;
  keep_alive_ = false;
  if (reject_ == Reject::HeadTimeout) {
    worker_.counting().timeouts.add();
  } else {
    worker_.counting().parse_errors.add();
  }
  const Response response = refusal(status_of(reject_), reject_text(reject_));
  const Bytes& body = std::get<Bytes>(std::get<Part>(response.body));
  const ResponseFraming framing{ResponseFraming::Body::Length, body.size(), ResponseFraming::Connection::Close};
  append_response_head(out_, response.status, worker_.date_lines(), framing, response.headers.lines());
  out_.append(body);
  count_response(response.status);
  co_return co_await flush();
}

// False when the connection is of no further use.
Task<bool> Connection::serve_request() {
  const int64_t started_ms = coarse_now_ms();
  Response response;
  handler_runs_ = true;
  try {
    response = co_await worker_.handler().handle(Request{head_, *this, peer_, transport_.secure()});
  } catch (const std::exception& e) {
    worker_.logger().error("http handler threw", {{"target", printable(head_.target)}, {"what", e.what()}});
    response = refusal(500, "internal error");
  } catch (...) {
    worker_.logger().error("http handler threw", {{"target", printable(head_.target)}});
    response = refusal(500, "internal error");
  }
  handler_runs_ = false;

  keep_alive_ = may_keep_alive() && !response.close;
  const ResponseFraming framing = frame_response(head_, response, keep_alive_);
  const size_t before = out_.size();
  append_response_head(out_, response.status, worker_.date_lines(), framing, response.headers.lines());
  count_response(response.status);
  const bool with_body = has_body(head_, response.status);
  bool good = true;
  Outgoing outgoing;
  if (!with_body) {
  } else if (std::holds_alternative<std::unique_ptr<BodySource>>(response.body)) {
    good = co_await stream_body(response, framing);
  } else if (auto* part = std::get_if<Part>(&response.body)) {
    if (!stage(*part, outgoing)) {
      // Nothing of this response has left yet: earlier ones may still go.
      worker_.logger().error("http file part is shorter than promised", {{"target", printable(head_.target)}});
      out_.resize(before);
      if (before > 0) co_await flush();
      co_return false;
    }
  } else if (framing.length != 0) {
    worker_.logger().error("http handler promised a body and gave none", {{"target", printable(head_.target)}});
    good = false;
  }
  if (good && company_follows() && outgoing.empty()) {
    worker_.defer_flush(*this);
  } else if (good) {
    const Progress progress = push(outgoing);
    good = progress == Progress::Done || (progress != Progress::Failed && co_await finish_push(outgoing));
  }
  if (worker_.logger().enabled(Level::Debug)) log_request(response.status, coarse_now_ms() - started_ms);
  co_return good;
}

bool Connection::may_keep_alive() const {
  if (!head_.keep_alive || worker_.draining() || requests_ >= worker_.options().requests_per_connection_max)
    return false;
  if (decoder_.ended()) return true;
  // An unread body: short enough to read and drop, and surely sent.
  return !body_broken_ && !continue_due_ && decoder_.remaining().value_or(0) <= kDrainBytesMax;
}

// Whether this response can wait for the next one: its request is here already.
bool Connection::company_follows() const {
  return keep_alive_ && !transport_.secure() && decoder_.ended() && !in_.empty() && out_.size() < kCoalesceBytesMax;
}

// Makes a part ready to send after out_. False when its file is too short.
bool Connection::stage(Part& part, Outgoing& outgoing) {
  auto* file = std::get_if<FileSpan>(&part);
  if (file == nullptr) {
    outgoing.second = memory_of(part);
    if (std::holds_alternative<PageSpan>(part) && outgoing.second.size() >= kSpliceBytesMin && !transport_.secure())
      outgoing.pages = std::exchange(outgoing.second, {});
  } else if (file->length > kInMemoryBytesMax) {
    outgoing.file = file;
    return true;
  } else {
    if (!read_file(file->fd, worker_.scratch(), static_cast<size_t>(file->length), file->offset)) return false;
    outgoing.second = {worker_.scratch(), static_cast<size_t>(file->length)};
  }
  if (outgoing.second.size() <= kCopyBytesMax || (outgoing.second.size() <= kInMemoryBytesMax && company_follows())) {
    out_.append(outgoing.second);
    outgoing.second = {};
  }
  return true;
}

// Sends what the socket takes at once. Unless that was all, finish_push() must follow before anything else is sent.
Progress Connection::push(Outgoing& outgoing) {
  Progress progress = Progress::Blocked;
  if (!transport_.secure()) {
    outgoing.first = ByteView(out_).substr(out_sent_);
    const size_t pending = outgoing.first.size();
    uint64_t sent = 0;
    progress = transport_.send_now(outgoing, sent);
    count_sent(sent);
    out_sent_ += pending - outgoing.first.size();
    outgoing.first = {};
    if (progress == Progress::Failed) return progress;
  }
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  }
  // The scratch memory is not ours across a wait; a small rest is cheaper copied than told apart.
  if (outgoing.second.size() <= kInMemoryBytesMax) {
    out_.append(outgoing.second);
    outgoing.second = {};
  }
  return progress;
}

Task<bool> Connection::finish_push(Outgoing& outgoing) {
  if (transport_.secure()) co_return co_await finish_push_tls(outgoing);
  Progress progress = Progress::Blocked;
  while (true) {
    if (progress == Progress::Yield) {
      co_await asio::post(transport_.socket().get_executor(), asio::deferred);
    } else {
      start_wait(Wait::Send, coarse_now_ms() + worker_.options().stall_timeout_ms, &sending_);
      const SocketError error = co_await transport_.writable();
      end_wait();
      if (expired_) worker_.counting().timeouts.add();
      if (error || expired_) co_return false;
    }
    progress = push(outgoing);
    if (progress == Progress::Done) co_return true;
    if (progress == Progress::Failed) co_return false;
  }
}

Task<bool> Connection::finish_push_tls(Outgoing& outgoing) {
  const bool head_sent = co_await write_tls(out_);
  out_.clear();
  if (!head_sent) co_return false;
  while (!outgoing.second.empty()) {
    const ByteView piece = outgoing.second.substr(0, Worker::kScratchBytes);
    if (!co_await write_tls(piece)) co_return false;
    outgoing.second.remove_prefix(piece.size());
  }
  if (outgoing.file == nullptr) co_return true;
  FileSpan& file = *outgoing.file;
  std::unique_ptr<char[]> buffer = worker_.take_buffer();
  while (file.length > 0) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(file.length, Worker::kScratchBytes));
    if (!read_file(file.fd, buffer.get(), size, file.offset)) co_return false;
    if (!co_await write_tls({buffer.get(), size})) co_return false;
    file.offset += size;
    file.length -= size;
  }
  worker_.give_buffer(std::move(buffer));
  co_return true;
}

Task<bool> Connection::write_tls(ByteView bytes) {
  if (bytes.empty()) co_return true;
  start_wait(Wait::Send, coarse_now_ms() + worker_.options().stall_timeout_ms, &sending_);
  const SocketError error = co_await transport_.write_tls(bytes);
  end_wait();
  if (expired_) worker_.counting().timeouts.add();
  if (error || expired_) co_return false;
  count_sent(bytes.size());
  co_return true;
}

Task<bool> Connection::flush() {
  Outgoing nothing;
  const Progress progress = push(nothing);
  if (progress == Progress::Done || out_.empty()) co_return true;
  co_return progress != Progress::Failed&& co_await finish_push(nothing);
}

void Connection::flush_deferred() {
  // Only while the coroutine waits inside a handler: elsewhere it sends for itself, and two must not.
  if (!handler_runs_ || out_.empty() || transport_.secure()) return;
  Outgoing nothing;
  push(nothing);
}

Task<bool> Connection::stream_body(Response& response, const ResponseFraming& framing) {
  BodySource& source = *std::get<std::unique_ptr<BodySource>>(response.body);
  const bool chunked = framing.body == ResponseFraming::Body::Chunked;
  uint64_t total = 0;
  while (true) {
    if (!out_.empty()) worker_.defer_flush(*this);
    Result<std::optional<Part>> next;
    handler_runs_ = true;
    try {
      next = co_await source.next();
    } catch (const std::exception& e) {
      next = fail(Code::Io, e.what());
    }
    handler_runs_ = false;
    if (!next) {
      worker_.logger().warn(
          "http body cut short",
          {{"target", printable(head_.target)}, {"sent_bytes", total}, {"error", next.error().message}});
      co_return false;
    }
    if (!*next) break;
    Part& part = **next;
    const uint64_t length = part_length(part);
    if (length == 0) continue;
    total += length;
    if (framing.body == ResponseFraming::Body::Length && total > framing.length) break;
    if (chunked) {
      char size[18];
      const auto end = std::to_chars(size, size + sizeof size, length, 16).ptr;
      out_.append(size, static_cast<size_t>(end - size)).append("\r\n");
    }
    Outgoing outgoing;
    if (!stage(part, outgoing)) co_return false;
    const Progress progress = push(outgoing);
    if (progress == Progress::Failed) co_return false;
    if (progress != Progress::Done && !co_await finish_push(outgoing)) co_return false;
    if (chunked) out_.append("\r\n");
  }
  if (framing.body == ResponseFraming::Body::Length && total != framing.length) {
    worker_.logger().error(
        "http body differs from its announced length",
        {{"target", printable(head_.target)}, {"announced_bytes", framing.length}, {"produced_bytes", total}});
    co_return false;
  }
  if (chunked) out_.append("0\r\n\r\n");
  co_return true;
}

Task<Result<size_t>> Connection::read_some(char* out, size_t size) {
  while (!decoder_.ended()) {
    if (body_broken_) co_return fail(Code::Cancelled, "request body of " + peer_ + " has failed before");
    if (!in_.empty()) {
      const BodyDecoder::Step step = decoder_.step(in_.unread(), size);
      in_.consume(step.consumed);
      if (step.state == BodyDecoder::State::Data) {
        std::memcpy(out, step.data.data(), step.data.size());
        co_return step.data.size();
      }
      if (step.state == BodyDecoder::State::End) break;
      if (step.state == BodyDecoder::State::Rejected) {
        body_broken_ = true;
        worker_.counting().parse_errors.add();
        co_return fail(Code::Invalid, "request body of " + peer_ + ": " + std::string(reject_text(step.reason)));
      }
    }
    if (const uint64_t certain = decoder_.certain(); certain > 0) {
      // All of the buffer is used and nothing but data comes next: straight to the reader.
      CO_TRY(const size_t count, co_await receive_body(out, static_cast<size_t>(std::min<uint64_t>(size, certain))));
      decoder_.skip(count);
      co_return count;
    }
    in_.compact();
    CO_TRY(const size_t count, co_await receive_body(in_.space(), in_.space_bytes()));
    in_.filled(count);
  }
  co_return size_t{0};
}

Task<Result<size_t>> Connection::receive_body(char* out, size_t size) {
  if (continue_due_) {
    continue_due_ = false;
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (!out_.empty() && !co_await flush()) {
    body_broken_ = true;
    co_return fail(Code::Cancelled, peer_ + " closed the connection");
  }
  start_wait(Wait::Body, coarse_now_ms() + worker_.options().stall_timeout_ms, &receiving_);
  const Received received = co_await transport_.receive(out, size, Transport::Eager::Yes);
  end_wait();
  if (expired_) {
    expired_ = false;  // the handler may still answer
    body_broken_ = true;
    worker_.counting().timeouts.add();
    co_return fail(Code::Timeout, "request body of " + peer_ + " comes too slowly");
  }
  if (received.error || received.count == 0) {
    body_broken_ = true;
    const std::string reason = received.error ? received.error.message() : "end of stream";
    co_return fail(Code::Cancelled, "request body of " + peer_ + " is cut short: " + reason);
  }
  receiving_.bytes += received.count;
  worker_.counting().bytes_received.add(received.count);
  co_return received.count;
}

// Reads and drops what the handler left of a body. False when that is too much.
Task<bool> Connection::drain_body() {
  uint64_t dropped = 0;
  while (!decoder_.ended()) {
    if (dropped > kDrainBytesMax) co_return false;
    const Result<size_t> count = co_await read_some(worker_.scratch(), Worker::kScratchBytes);
    if (!count) co_return false;
    dropped += *count;
  }
  co_return true;
}

// Half-closes, then waits for the peer to close, dropping what it still sends.
Task<void> Connection::linger() {
  if (!out_.empty() && !co_await flush()) {
    transport_.reset();
    co_return;
  }
  if (transport_.secure()) co_return;  // its goodbye does the same
  transport_.shutdown_send();
  start_wait(Wait::Linger, coarse_now_ms() + kLingerMs, nullptr);
  for (uint64_t dropped = 0; dropped < kLingerBytesMax && !expired_;) {
    const Received received =
        co_await transport_.receive(worker_.scratch(), Worker::kScratchBytes, Transport::Eager::No);
    if (received.error || received.count == 0) break;
    dropped += received.count;
  }
  end_wait();
}

void Connection::start_wait(Wait wait, int64_t deadline_ms, Transfer* transfer) {
  wait_ = wait;
  deadline_ms_ = deadline_ms;
  transfer_ = transfer;
  if (transfer != nullptr) wait_start_ms_ = coarse_now_ms();
}

void Connection::end_wait() {
  wait_ = Wait::None;
  if (transfer_ != nullptr) transfer_->waited_ms += coarse_now_ms() - wait_start_ms_;
  transfer_ = nullptr;
}

void Connection::sweep(int64_t now_ms) {
  if (wait_ == Wait::None || expired_) return;
  bool over = now_ms >= deadline_ms_;
  if (transfer_ != nullptr) {
    const int64_t waited = transfer_->waited_ms + now_ms - wait_start_ms_;
    const uint64_t due = static_cast<uint64_t>(waited) * worker_.options().min_bytes_per_second / 1000;
    over = over || (waited > worker_.options().stall_timeout_ms && transfer_->bytes < due);
  }
  if (!over) return;
  expired_ = true;
  transport_.cancel();
}

void Connection::drain() {
  const bool idle = (wait_ == Wait::Idle || wait_ == Wait::First) && in_.empty();
  if (!idle && wait_ != Wait::Linger && wait_ != Wait::Handshake) return;
  expired_ = true;
  transport_.cancel();
}

void Connection::count_response(int status) {
  WorkerCounters& counters = worker_.counting();
  counters.requests_total.add();
  counters.responses_by_class[std::clamp(status / 100, 0, 5)].add();
}

void Connection::count_sent(uint64_t bytes) {
  sending_.bytes += bytes;
  worker_.counting().bytes_sent.add(bytes);
}

void Connection::log_request(int status, int64_t took_ms) {
  worker_.logger().debug("http request", {{"peer", peer_},
                                          {"method", head_.method_text},
                                          {"target", printable(head_.target)},
                                          {"status", status},
                                          {"sent_bytes", sending_.bytes},
                                          {"took_ms", took_ms}});
}

}  // namespace hailstone::http
