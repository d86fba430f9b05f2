#include "net/link.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

namespace hailstone::net {
namespace {

constexpr auto kAwait = asio::as_tuple(asio::deferred);
constexpr size_t kInputBytes = 64u << 10;
constexpr size_t kInputBytesMin = 128;
constexpr size_t kInputKeptBytes = 1u << 20;  // a larger buffer goes back when it is empty
constexpr size_t kPiecesPerWrite = 64;
// A peer on the same machine may drain as fast as we write: others get their turn after as much.
constexpr size_t kTurnBytesMax = 1u << 20;
constexpr size_t kCipherBytes = 256u << 10;
// What the kernel may hold unsent: more would only hide from us that a peer is slow, and delay its pings.
constexpr int kUnsentBytes = 512 << 10;

Error errno_error(const char* what) { return {Code::Io, fmt::format("{}: {}", what, std::strerror(errno))}; }

}  // namespace

void InputBuffer::reserve(size_t bytes, size_t capacity_min) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (capacity_ - end_ >= bytes) return;
  const size_t kept = end_ - begin_;
  const size_t doubled = kept > capacity_ / 2 ? 2 * capacity_ : capacity_;
  const size_t wanted = std::max({capacity_min, doubled, std::bit_ceil(kept + bytes)});
  if (wanted > capacity_) {
    auto fresh = std::make_unique_for_overwrite<char[]>(wanted);
    if (kept > 0) std::memcpy(fresh.get(), data_.get() + begin_, kept);
    data_ = std::move(fresh);
    capacity_ = wanted;
  } else {
    std::memmove(data_.get(), data_.get() + begin_, kept);
  }
  begin_ = 0;
  end_ = kept;
}

char* InputBuffer::room(size_t& bytes) {
  if (capacity_ > kInputKeptBytes) trim();
  reserve(kInputBytes / 4, kInputBytes);
  bytes = capacity_ - end_;
  return data_.get() + end_;
}

void InputBuffer::append(ByteView bytes) {
  reserve(bytes.size(), kInputBytesMin);
  std::memcpy(data_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

void InputBuffer::trim() {
  if (begin_ != end_) return;
  data_.reset();
  capacity_ = begin_ = end_ = 0;
}

Link::Link(Socket socket, const TlsContext* tls, Side side, char* scratch, Idle idle)
    : received_at(SteadyClock::now()),
      drained_at(received_at),
      pinged_at(received_at),
      socket_(std::move(socket)),
      side_(side),
      scratch_(scratch),
      idle_(idle) {
  if (tls == nullptr) return;
  tls_ = std::make_unique<TlsSession>(*tls, side);
  if (idle == Idle::FreesBuffers) tls_->free_idle_buffers();
}

Link::~Link() { drop_output(); }

void Link::prepare() {
  SocketError ignored;  // a socket that is dead already says so at its first use
  socket_.native_non_blocking(true, ignored);
  const int on = 1;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof kUnsentBytes);
}

void Link::close(Error reason) {
  if (reason_) return;
  reason_ = std::move(reason);
  SocketError ignored;
  socket_.close(ignored);
  drop_output();
}

void Link::drop_output() {
  for (const Piece& piece : pieces_) {
    if (outbox_ == nullptr) break;
    outbox_->settled(piece.bytes.size() - first_sent_);
    add(outbox_->counters.dropped, piece.frames);
    first_sent_ = 0;
  }
  pieces_.clear();
  first_sent_ = 0;
}

void Link::append(Bytes bytes) {
  if (reason_) return;
  if (outbox_ != nullptr) outbox_->charged(bytes.size());
  pieces_.push_back({std::move(bytes)});
}

void Link::shutdown_send() {
  SocketError ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

Task<Result<void>> Link::handshake() {
  while (true) {
    const auto done = tls_->handshake();
    flush();
    if (!done) co_return std::unexpected(done.error());
    handshaken_ = *done;
    if (*done) co_return Result<void>();
    CO_TRY_DO(co_await receive());
  }
}

Task<Result<void>> Link::receive() {
  const bool frees = idle_ == Idle::FreesBuffers;
  while (true) {
    size_t room = kScratchBytes;
    if (reason_) co_return std::unexpected(*reason_);
    if (tls_ != nullptr && handshaken_) {
      char* out = frees ? scratch_ : input_.room(room);
      const auto count = tls_->read(out, room);
      if (!count) co_return std::unexpected(count.error());
      if (*count > 0) {
        take_input(out, *count);
        co_return Result<void>();
      }
    }
    if (frees) input_.trim();
    const auto [error] = co_await socket_.async_wait(Socket::wait_read, kAwait);
    if (reason_) co_return std::unexpected(*reason_);
    if (error) co_return fail(Code::Io, error.message());
    room = kScratchBytes;
    char* out = tls_ != nullptr || frees ? scratch_ : input_.room(room);
    const ssize_t count = ::recv(socket_.native_handle(), out, room, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count < 0) co_return std::unexpected(errno_error("receive"));
    if (count == 0) co_return fail(Code::Unavailable, "closed by the peer");
    received_at = SteadyClock::now();
    if (tls_ == nullptr) {
      take_input(out, static_cast<size_t>(count));
      co_return Result<void>();
    }
    tls_->feed({scratch_, static_cast<size_t>(count)});
    if (!handshaken_) co_return Result<void>();
  }
}

void Link::take_input(const char* bytes, size_t count) {
  if (idle_ == Idle::FreesBuffers) {
    input_.append({bytes, count});
  } else {
    input_.received(count);
  }
}

void Link::flush() {
  const uint64_t before = written_;
  write_turn();
  if (written_ != before && !reason_ && on_written_) on_written_();
}

void Link::write_turn() {
  if (blocked_ || reason_) return;
  size_t turn = 0;
  while (turn < kTurnBytesMax) {
    if (pieces_.empty() && outbox_ != nullptr) outbox_->take(pieces_);
    const ssize_t count = tls_ != nullptr ? write_tls() : write_plain();
    if (count == 0) return;
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return wait_writable();
      return close(errno_error("send"));
    }
    turn += static_cast<size_t>(count);
    written_ += static_cast<size_t>(count);
  }
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->flush(); });
}

// As all writes: bytes that the socket took, 0 when there is nothing to write, -1 with errno.
ssize_t Link::write_plain() {
  iovec parts[kPiecesPerWrite];
  size_t count = 0;
  for (const Piece& piece : pieces_) {
    const size_t skipped = count == 0 ? first_sent_ : 0;
    parts[count++] = {const_cast<char*>(piece.bytes.data()) + skipped, piece.bytes.size() - skipped};
    if (count == kPiecesPerWrite) break;
  }
  if (count == 0) return 0;
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) settle(static_cast<size_t>(sent));
  return sent;
}

ssize_t Link::write_tls() {
  while (!pieces_.empty() && tls_->output().size() < kCipherBytes) {
    const size_t bytes = pieces_.front().bytes.size();
    if (const auto written = tls_->write(pieces_.front().bytes); !written) {
      close(written.error());
      return 0;
    }
    settle(bytes);
  }
  const ByteView wire = tls_->output();
  if (wire.empty()) return 0;
  const ssize_t sent = ::send(socket_.native_handle(), wire.data(), wire.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) tls_->sent(static_cast<size_t>(sent));
  return sent;
}

// The first `bytes` of pieces_ are the kernel's, or encrypted.
void Link::settle(size_t bytes) {
  uint64_t frames = 0;
  size_t left = bytes;
  while (left > 0) {
    Piece& piece = pieces_.front();
    const size_t rest = piece.bytes.size() - first_sent_;
    if (left < rest) {
      first_sent_ += left;
      break;
    }
    left -= rest;
    first_sent_ = 0;
    frames += piece.frames;
    pieces_.pop_front();
  }
  if (outbox_ == nullptr) return;
  outbox_->settled(bytes);
  add(outbox_->counters.frames_out, frames);
  add(outbox_->counters.bytes_out, bytes);
}

void Link::wait_writable() {
  blocked_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const SocketError& error) {
    self->blocked_ = false;
    if (error) return;  // closed; or it will say so at the next write
    self->drained_at = SteadyClock::now();
    self->flush();
  });
}

std::string remote_of(const Socket& socket) {
  SocketError error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return "?";
  return remote.address().is_v6() ? fmt::format("[{}]:{}", remote.address().to_string(), remote.port())
                                  : fmt::format("{}:{}", remote.address().to_string(), remote.port());
}

}  // namespace hailstone::net
