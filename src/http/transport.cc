#include "http/transport.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>

namespace hailstone::http {

namespace {
constexpr auto kAwait = asio::as_tuple(asio::deferred);
// A reader on the same machine may drain as fast as we send: others of this thread get their turn after as much.
constexpr uint64_t kTurnBytesMax = 4u << 20;

SocketError last_error() { return {errno, boost::system::system_category()}; }

// send(2) where one piece is all: the kernel takes it for some 100 ns less than a sendmsg(2).
ssize_t send_memory(int socket, ByteView first, ByteView second, int flags) {
  flags |= MSG_NOSIGNAL | MSG_DONTWAIT;
  if (second.empty()) return ::send(socket, first.data(), first.size(), flags);
  if (first.empty()) return ::send(socket, second.data(), second.size(), flags);
  iovec pieces[2] = {{const_cast<char*>(first.data()), first.size()},
                     {const_cast<char*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 2;
  return ::sendmsg(socket, &message, flags);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

/// The way of user pages into a socket: vmsplice(2) them into a pipe, splice(2) the pipe into the socket. A thread's
/// own.
class PagePipe {
 public:
  ~PagePipe() { close(); }

  /// Bytes that the socket took, or -1 with errno.
  ssize_t send(int socket, ByteView pages, bool more) {
    if (ends_[0] < 0 && !open()) return -1;
    iovec piece{const_cast<char*>(pages.data()), std::min(pages.size(), kStepBytes)};
    const ssize_t in = ::vmsplice(ends_[1], &piece, 1, SPLICE_F_NONBLOCK);
    if (in <= 0) return in;
    const unsigned flags = SPLICE_F_NONBLOCK | (more || static_cast<size_t>(in) < pages.size() ? SPLICE_F_MORE : 0u);
    size_t out = 0;
    while (out < static_cast<size_t>(in)) {
      const ssize_t done = ::splice(ends_[0], nullptr, socket, nullptr, static_cast<size_t>(in) - out, flags);
      if (done > 0) {
        out += static_cast<size_t>(done);
        continue;
      }
      if (done < 0 && errno == EINTR) continue;
      const int error = done < 0 ? errno : EPIPE;
      drop(static_cast<size_t>(in) - out);
      if (out > 0) break;
      errno = error;
      return -1;
    }
    return static_cast<ssize_t>(out);
  }

 private:
  static constexpr size_t kStepBytes = 256u << 10;  // what a slow reader leaves of it is spliced again

  bool open() {
    if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    ::fcntl(ends_[0], F_SETPIPE_SZ, static_cast<int>(kStepBytes));  // with less it only takes more turns
    return true;
  }
  void close() {
    for (int& end : ends_) {
      if (end >= 0) ::close(end);
      end = -1;
    }
  }
  void drop(size_t bytes) {
    if (null_ < 0) null_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    while (bytes > 0) {
      const ssize_t done = null_ < 0 ? -1 : ::splice(ends_[0], nullptr, null_, nullptr, bytes, SPLICE_F_NONBLOCK);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return close();  // no socket may ever get them
      bytes -= static_cast<size_t>(done);
    }
  }

  int ends_[2] = {-1, -1};
  int null_ = -1;
};
}  // namespace

class TlsStream : public asio::ssl::stream<Socket&> {
 public:
  using stream::stream;
};

Transport::Transport(Socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
  SocketError ignored;  // a socket that is dead already says so at the first use
  socket_.non_blocking(true, ignored);
  socket_.native_non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (tls != nullptr) tls_ = std::make_unique<TlsStream>(socket_, *tls);
}
Transport::~Transport() = default;

Task<SocketError> Transport::handshake() {
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
  co_return error;
}

Task<Received> Transport::receive(char* out, size_t size, Eager eager) {
  if (tls_ != nullptr) {
    const auto [error, count] = co_await tls_->async_read_some(asio::buffer(out, size), kAwait);
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) co_return Received{};
    co_return Received{error, count};
  }
  if (eager == Eager::Yes) {
    const ssize_t count = ::recv(socket_.native_handle(), out, size, MSG_DONTWAIT);
    if (count >= 0) co_return Received{{}, static_cast<size_t>(count)};
    if (!would_block() && errno != EINTR) co_return Received{last_error(), 0};
  }
  const auto [error, count] = co_await socket_.async_read_some(asio::buffer(out, size), kAwait);
  if (error == asio::error::eof) co_return Received{};
  co_return Received{error, count};
}

Transport::Progress Transport::send_now(Outgoing& outgoing, uint64_t& sent) {
  const int socket = socket_.native_handle();
  uint64_t turn = 0;
  while (!outgoing.first.empty() || !outgoing.second.empty()) {
    const bool more =
        outgoing.more || !outgoing.pages.empty() || (outgoing.file != nullptr && outgoing.file->length > 0);
    const ssize_t done = send_memory(socket, outgoing.first, outgoing.second, more ? MSG_MORE : 0);
    if (done < 0) {
      if (errno == EINTR) continue;
      return would_block() ? Progress::Blocked : Progress::Failed;
    }
    const auto taken = static_cast<size_t>(done);
    sent += taken;
    turn += taken;
    const size_t from_first = std::min(taken, outgoing.first.size());
    outgoing.first.remove_prefix(from_first);
    outgoing.second.remove_prefix(taken - from_first);
  }
  thread_local PagePipe pipe;
  while (!outgoing.pages.empty()) {
    if (turn >= kTurnBytesMax) return Progress::Yield;
    const ssize_t done = pipe.send(socket, outgoing.pages, outgoing.more);
    if (done < 0) {
      if (errno == EINTR) continue;
      return would_block() ? Progress::Blocked : Progress::Failed;
    }
    sent += static_cast<uint64_t>(done);
    turn += static_cast<uint64_t>(done);
    outgoing.pages.remove_prefix(static_cast<size_t>(done));
  }
  if (outgoing.file == nullptr) return Progress::Done;
  FileSpan& file = *outgoing.file;
  while (file.length > 0) {
    if (turn >= kTurnBytesMax) return Progress::Yield;
    auto offset = static_cast<off_t>(file.offset);
    const size_t count = static_cast<size_t>(std::min<uint64_t>(file.length, kTurnBytesMax));
    const ssize_t done = ::sendfile(socket, file.fd, &offset, count);
    if (done < 0) {
      if (errno == EINTR) continue;
      return would_block() ? Progress::Blocked : Progress::Failed;
    }
    if (done == 0) return Progress::Failed;
    sent += static_cast<uint64_t>(done);
    turn += static_cast<uint64_t>(done);
    file.offset += static_cast<uint64_t>(done);
    file.length -= static_cast<uint64_t>(done);
  }
  return Progress::Done;
}

Task<SocketError> Transport::writable() {
  const auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
  co_return error;
}

Task<SocketError> Transport::write_tls(ByteView bytes) {
  const auto [error, count] = co_await asio::async_write(*tls_, asio::buffer(bytes.data(), bytes.size()), kAwait);
  co_return error;
}

void Transport::cancel() {
  SocketError ignored;
  socket_.cancel(ignored);
}

Task<void> Transport::shutdown_tls() { [[maybe_unused]] const auto [error] = co_await tls_->async_shutdown(kAwait); }

void Transport::reset() {
  SocketError ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);  // now: the socket's destructor would undo the option
}

void Transport::shutdown_send() {
  SocketError ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace hailstone::http
