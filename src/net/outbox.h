// What is to be sent to one peer: a bounded queue that any thread fills and the event loop empties.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>

#include "base/bytes.h"
#include "net/transport.h"

namespace hailstone::net {

/// Bytes as they go out: whole frames, but for a long payload, which is a piece of its own behind its header.
struct Piece {
  Bytes bytes;
  uint64_t frames = 0;  // that end in it
};

/// Written by the event loop, read by any thread.
struct PeerCounters {
  std::atomic<uint64_t> incarnation{0}, frames_out{0}, bytes_out{0}, frames_in{0}, bytes_in{0}, dropped{0},
      connections{0}, round_trip_us{0};
  std::atomic<bool> heard{false};
};
inline void add(std::atomic<uint64_t>& counter, uint64_t n) { counter.fetch_add(n, std::memory_order_relaxed); }

/// The mutex is for send(), which any thread calls; it is held for an append or a swap.
class Outbox {
 public:
  explicit Outbox(size_t bytes_max) : bytes_max_(bytes_max) {}

  enum class Pushed : uint8_t {
    Dropped,  // closed, or full
    Queued,   // the loop knows already that there is something
    First,    // the loop must be told
  };
  Pushed push(uint8_t channel, Bytes payload);

  /// The loop's: a connection is there, or gone. What is queued when it goes is dropped.
  void open();
  void close();
  /// Takes nothing more, and keeps what is queued.
  void seal();
  bool is_open() const;
  /// Moves all that is queued behind `pieces`.
  void take(std::deque<Piece>& pieces);
  /// That much goes out besides what was pushed.
  void charged(uint64_t bytes) { queue_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  /// That much of what was taken or charged has been written, or dropped with its connection.
  void settled(uint64_t bytes) { queue_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  uint64_t queue_bytes() const { return queue_bytes_.load(std::memory_order_relaxed); }
  PeerMetrics metrics(NodeId id) const;
  PeerCounters counters;

 private:
  const size_t bytes_max_;
  mutable std::mutex mutex_;
  std::deque<Piece> pieces_;
  bool open_ = false;
  bool told_ = false;                     // since the last take()
  std::atomic<uint64_t> queue_bytes_{0};  // what was taken is in it until it is settled
};

}  // namespace hailstone::net
