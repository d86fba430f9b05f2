// Connections with many clients: frames over TCP, plain or mutual TLS 1.3, all on one event loop of the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/logger.h"
#include "net/frame.h"
#include "net/task.h"
#include "net/tls.h"

namespace hailstone::net {

/// One connection. Never used twice by one Streams; 0 is none.
using StreamId = Id<struct StreamTag>;

struct StreamPeer {
  std::string principal;  // of its certificate (TlsSession::principal); kAnonymous without TLS
  std::string address;    // "192.0.2.7:40112"; for messages
  bool operator==(const StreamPeer&) const = default;
};

/// Called on the loop's thread, never from within a call of Streams but stop(). Calls may call Streams; they must not
/// block.
class StreamReceiver {
 public:
  virtual ~StreamReceiver() = default;
  /// The other side is authenticated; send() works from now on.
  virtual void on_open(StreamId stream, const StreamPeer& peer) = 0;
  /// `payload` is valid during the call. Frames come in the order of their sending, without gaps.
  virtual void on_frame(StreamId stream, uint8_t channel, ByteView payload) = 0;
  /// Some of what was sent was given to the kernel; `queue_bytes` still waits.
  virtual void on_written(StreamId stream, uint64_t queue_bytes) = 0;
  /// The last call for this stream: one for each on_open, and for each connect() that failed. Denied: refused for what
  /// one of us is; Unavailable, Io: nobody there, or the connection was lost; Timeout: no answer; Exhausted: read too
  /// slowly; Corrupt, Unsupported: sent what is no frame; or the reason given to close().
  virtual void on_closed(StreamId stream, const Error& reason) = 0;
};

struct StreamOptions {
  std::optional<TlsFiles> tls;  // none: plain, and only between loopback addresses
  /// Without TLS anybody who reaches the port is kAnonymous.
  enum class Plain : uint8_t { LoopbackOnly, Anywhere };
  Plain plain = Plain::LoopbackOnly;

  int connect_timeout_ms = 2000;    // for each address that a name has
  int handshake_timeout_ms = 5000;  // until one that came in is authenticated and has sent its first frame
  int ping_after_ms = 10'000;       // of silence; half as long again for who was dialled: one side's pings do for both
  int dead_after_ms = 5000;         // more, without anything in answer
  int close_timeout_ms = 1000;      // for what is queued when close() is called

  size_t connections_max = 20'000;              // that came in, in all
  size_t connections_per_address_max = 20'000;  // of these
  /// Of these, that are not authenticated: the oldest goes for a newer one. As many TLS handshakes as a core does
  /// within handshake_timeout_ms: more of them would fail all the same, and take memory first.
  size_t handshakes_max = 4'096;
  size_t payload_bytes_max = kPayloadBytesMax;  // of a frame that comes in
  size_t queue_bytes_max = 8u << 20;            // of frames to one stream; an empty queue takes one of any length
  /// Empty when usable, else what is wrong.
  std::string problem() const;
};

struct StreamMetrics {
  uint64_t open = 0;                       // authenticated, now
  uint64_t accepted = 0;                   // that came in, ever
  uint64_t refused = 0;                    // of these: over a limit, not authenticated, or without a frame in time
  uint64_t cut = 0;                        // ended because they read too slowly, or did not answer
  uint64_t frames_out = 0, bytes_out = 0;  // that send() took
  uint64_t frames_in = 0, bytes_in = 0;
};

class StreamTable;

/// All calls on the loop's thread, or before it runs.
class Streams {
 public:
  /// Invalid: options or files that won't do. `loop`, `receiver` and `logger` outlive it.
  static Result<std::unique_ptr<Streams>> make(asio::io_context& loop, StreamOptions options, StreamReceiver& receiver,
                                               Logger& logger);
  ~Streams();  // stops
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  /// Accepts connections on a numeric address; port 0: any. Returns the port. Denied: plain where that is not allowed.
  Result<uint16_t> listen(const std::string& host, uint16_t port);
  void stop_listening();
  /// on_open or on_closed follows. Under TLS the other side must show a node's certificate.
  StreamId connect(std::string host, uint16_t port);

  /// Frames of one turn of the loop leave together, after it. False: not open, or closing, or the payload is longer
  /// than kPayloadBytesMax; or the queue is full, which ends the stream: a gap would be worse.
  bool send(StreamId stream, uint8_t channel, Bytes payload);
  /// Sent, and not yet given to the kernel.
  uint64_t queue_bytes(StreamId stream) const;

  enum class Close : uint8_t {
    Now,
    WhenWritten,  // what is queued goes first, within close_timeout_ms
  };
  /// No frame is taken or delivered any more; on_closed follows.
  void close(StreamId stream, Close how, Error reason);

  StreamMetrics metrics() const;
  /// Ends all without another call to the receiver, and takes its work off the loop, which can then run out.
  void stop();

 private:
  explicit Streams(std::shared_ptr<StreamTable> table);
  std::shared_ptr<StreamTable> table_;  // the coroutines' too: they outlive stop() until the loop has run once more
};

}  // namespace hailstone::net
