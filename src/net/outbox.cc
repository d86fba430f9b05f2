#include "net/outbox.h"

#include <iterator>
#include <utility>

#include "net/frame.h"

namespace hailstone::net {
namespace {
// Payloads up to this are copied behind each other: cheaper than an allocation and an iovec each.
constexpr size_t kPackedPayloadBytesMax = 16u << 10;
constexpr size_t kPackedPieceBytesMax = 64u << 10;
}  // namespace

Outbox::Pushed Outbox::push(uint8_t channel, Bytes payload) {
  char room[kFrameHeaderBytes];
  if (payload.size() > kPayloadBytesMax) {
    add(counters.dropped, 1);
    return Pushed::Dropped;
  }
  write_frame_header(room, FrameType::Data, channel, payload);
  const ByteView header(room, sizeof room);
  const size_t bytes = header.size() + payload.size();
  const std::scoped_lock lock(mutex_);
  const uint64_t queued = queue_bytes_.load(std::memory_order_relaxed);
  if (!open_ || (queued > 0 && queued + bytes > bytes_max_)) {
    add(counters.dropped, 1);
    return Pushed::Dropped;
  }
  const bool small = payload.size() <= kPackedPayloadBytesMax;
  const size_t appended = small ? bytes : header.size();
  if (pieces_.empty() || pieces_.back().bytes.size() + appended > kPackedPieceBytesMax) {
    pieces_.emplace_back();
    pieces_.back().bytes.reserve(appended);
  }
  pieces_.back().bytes.append(header);
  if (small) {
    pieces_.back().bytes.append(payload);
  } else {
    pieces_.push_back({std::move(payload)});
  }
  ++pieces_.back().frames;
  queue_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return std::exchange(told_, true) ? Pushed::Queued : Pushed::First;
}

void Outbox::open() {
  const std::scoped_lock lock(mutex_);
  open_ = true;
}

void Outbox::close() {
  std::deque<Piece> rest;
  {
    const std::scoped_lock lock(mutex_);
    open_ = told_ = false;
    rest.swap(pieces_);
  }
  for (const Piece& piece : rest) {
    settled(piece.bytes.size());
    add(counters.dropped, piece.frames);
  }
}

void Outbox::seal() {
  const std::scoped_lock lock(mutex_);
  open_ = false;
}

bool Outbox::is_open() const {
  const std::scoped_lock lock(mutex_);
  return open_;
}

void Outbox::take(std::deque<Piece>& pieces) {
  const std::scoped_lock lock(mutex_);
  told_ = false;
  if (pieces.empty()) return pieces.swap(pieces_);
  pieces.insert(pieces.end(), std::move_iterator(pieces_.begin()), std::move_iterator(pieces_.end()));
  pieces_.clear();
}

PeerMetrics Outbox::metrics(NodeId id) const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  const uint64_t connections = get(counters.connections);
  return {.id = id,
          .connected = is_open(),
          .heard = get(counters.heard),
          .incarnation = get(counters.incarnation),
          .frames_out = get(counters.frames_out),
          .bytes_out = get(counters.bytes_out),
          .frames_in = get(counters.frames_in),
          .bytes_in = get(counters.bytes_in),
          .dropped = get(counters.dropped),
          .reconnects = connections > 0 ? connections - 1 : 0,
          .round_trip_us = get(counters.round_trip_us),
          .queue_bytes = get(queue_bytes_)};
}

}  // namespace hailstone::net
