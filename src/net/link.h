// One TCP connection, plain or under TLS, on the event loop: input to be parsed, frames to be written, one reason for
// its end.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "base/error.h"
#include "net/outbox.h"
#include "net/task.h"
#include "net/tls.h"

namespace hailstone::net {

/// Bytes received and not yet parsed. Grows with what arrives, not with what is announced.
class InputBuffer {
 public:
  ByteView view() const { return {data_.get() + begin_, end_ - begin_}; }
  void consume(size_t bytes) { begin_ += bytes; }
  /// Room for at least a byte; where, and how much.
  char* room(size_t& bytes);
  void received(size_t bytes) { end_ += bytes; }
  void append(ByteView bytes);
  /// Gives the memory back when nothing is in it.
  void trim();

 private:
  /// Doubles the memory only when it is full of what is unparsed: the copying is paid for by what has arrived.
  void reserve(size_t bytes, size_t capacity_min);

  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

/// All calls on the loop's thread. Owned by the coroutine that runs it; waits under way keep it, too.
class Link : public std::enable_shared_from_this<Link> {
 public:
  /// `tls` may be null: plain. `scratch` is the loop's: memory for kScratchBytes, used within calls only.
  static constexpr size_t kScratchBytes = 64u << 10;
  /// What it keeps while nothing is under way: buffers for the next burst, or as little as can be.
  enum class Idle : uint8_t { KeepsBuffers, FreesBuffers };
  Link(Socket socket, const TlsContext* tls, Side side, char* scratch, Idle idle = Idle::KeepsBuffers);
  ~Link();

  Socket& socket() { return socket_; }
  Side side() const { return side_; }
  bool secure() const { return tls_ != nullptr; }
  const TlsSession& tls() const { return *tls_; }
  /// Once connected: options, and from now on no call on the socket blocks.
  void prepare();

  /// Ends every wait. The first reason is kept.
  void close(Error reason);
  bool closed() const { return reason_.has_value(); }
  /// Of a closed link.
  const Error& reason() const { return *reason_; }

  Task<Result<void>> handshake();
  /// Waits for at least one more byte of input.
  Task<Result<void>> receive();
  ByteView input() const { return input_.view(); }
  void consume(size_t bytes) { input_.consume(bytes); }

  /// Its frames go out from now on, and are settled there.
  void attach(std::shared_ptr<Outbox> outbox) { outbox_ = std::move(outbox); }
  /// Called after each write that the kernel took some of.
  void on_written(std::function<void()> call) { on_written_ = std::move(call); }
  /// Goes before what is still in the outbox. Call flush() then.
  void append(Bytes bytes);
  /// Writes what there is, as far as the socket takes it; goes on by itself when it takes more.
  void flush();
  /// Everything was given to the kernel.
  bool flushed() const { return pieces_.empty() && (tls_ == nullptr || tls_->output().empty()); }
  void shutdown_send();

  // For whoever watches over deadlines.
  SteadyTime received_at;  // the latest byte
  SteadyTime drained_at;   // the latest time at which a full socket took more: the peer is reading
  SteadyTime deadline = SteadyTime::max();
  SteadyTime pinged_at;
  bool pinged = false;  // and not answered

 private:
  void take_input(const char* bytes, size_t count);
  void write_turn();
  ssize_t write_plain();
  ssize_t write_tls();
  void settle(size_t bytes);
  void wait_writable();
  void drop_output();

  Socket socket_;
  const Side side_;
  char* const scratch_;
  const Idle idle_;
  std::unique_ptr<TlsSession> tls_;
  InputBuffer input_;
  std::deque<Piece> pieces_;
  size_t first_sent_ = 0;  // of pieces_.front()
  std::shared_ptr<Outbox> outbox_;
  std::function<void()> on_written_;
  uint64_t written_ = 0;  // bytes that the kernel took
  bool blocked_ = false;  // flush() will be called when the socket takes more
  bool handshaken_ = false;
  std::optional<Error> reason_;
};

/// For messages: "127.0.0.1:4711"; of a socket that is not connected: "?".
std::string remote_of(const Socket& socket);

}  // namespace hailstone::net
