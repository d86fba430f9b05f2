// Appends records to the active segment, makes them durable together, and starts the next segment when one is full.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "chunk/local_store.h"
#include "chunk/segment.h"
#include "chunk/segment_files.h"
#include "chunk/sidecar.h"
#include "disk/disk.h"

namespace hailstone::chunk {

/// Thread-safe. Small records collect in a buffer and are readable from it; large ones are written outside the lock
/// into a range reserved under it. Once a write or sync failed with Io it takes nothing more.
///
/// Invariants: everything below tail() is in the file or belongs to a put that has not returned; all of a segment is
/// durable before the next one exists; `synced_to` in a record never passes a range that is still being written.
class SegmentWriter {
 public:
  struct Active {
    SegmentHeader header;
    std::shared_ptr<disk::File> file;
    uint64_t end = 0;
    std::vector<SegmentEntry> entries;  // in order
  };
  struct Placed {
    uint32_t segment = 0;
    uint64_t offset = 0;
    uint64_t span = 0;
  };
  enum class Room : uint8_t {
    KeepReserve,  // Exhausted when less than reserve_bytes would stay free
    UseReserve,   // for what frees space later
  };

  /// Goes on with `active` or, without one, starts segment `next_number` at the first append.
  SegmentWriter(disk::Disk& disk, const LocalStoreOptions& options, SegmentFiles& files, std::optional<Active> active,
                uint32_t next_number);

  /// `header` has all but payload_at and synced_to. For an Erase record `erased` are the ids in the payload.
  Result<Placed> append(RecordHeader header, ByteView payload, std::span<const ChunkId> erased, Room room);

  /// All appends that have returned are durable. Those who call together share one fdatasync.
  Result<void> sync();
  /// Puts the buffer into the file, not to disk.
  Result<void> flush();

  /// Finishes the active segment, if it is this one, and starts the next.
  Result<void> close_active(uint32_t segment);

  /// Bytes of a record that is still in the buffer; nothing when it is in the file.
  std::optional<Bytes> read_buffered(uint32_t segment, uint64_t offset, size_t n);
  bool maybe_buffered(uint32_t segment, uint64_t offset) const {
    return (uint64_t{segment} << 40 | offset) >= tail_.load(std::memory_order_acquire);
  }

  /// Segments that were finished since the last call, for their sidecars to be written.
  std::vector<Sidecar> take_finished();
  bool has_finished() const { return has_finished_.load(std::memory_order_relaxed); }
  /// What a sidecar of the active segment would say; durable as far as it says. Nothing without an active segment.
  Result<std::optional<Sidecar>> describe_active();
  /// The entry of a record of the active segment.
  std::optional<SegmentEntry> find_active(uint32_t segment, uint64_t offset);
  /// Where the next record goes, or beyond: what was appended before lies before.
  Position position();
  /// Durable records of the active segment that begin at or after `from`, and where those end that are whole: later
  /// ones begin there or beyond. Nothing when it is not the active segment. Call after sync().
  struct Since {
    std::vector<SegmentEntry> entries;
    uint64_t next = 0;
  };
  std::optional<Since> active_since(const Position& from);
  /// {segment, bytes} of the active segment.
  std::pair<uint32_t, uint64_t> active_size();

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Range {
    uint64_t offset;
    uint64_t end;
    auto operator<=>(const Range&) const = default;
  };
  Result<void> usable() const;
  Result<void> check_room(uint64_t bytes, Room room);
  Result<void> make_current(Lock& lock);
  Result<void> roll(Lock& lock);
  Result<Active> start_segment();
  Result<void> flush_locked();
  Result<void> fill_holes();
  Result<void> write_large(Lock& lock, const Placed& at, Bytes head, ByteView payload);
  void abandon(const Range& range);
  Result<void> write_here(uint64_t offset, ByteView bytes);
  uint64_t durable_limit() const;
  Result<uint64_t> sync_once();
  void publish_tail();
  void note_entries(const RecordHeader& header, const Placed& placed, std::span<const ChunkId> erased);

  disk::Disk& disk_;
  const LocalStoreOptions options_;
  SegmentFiles& files_;

  std::mutex mutex_;  // guards all below; held for memory work and small writes, but while a segment is finished
  std::condition_variable writes_done_;
  std::optional<Active> active_;
  uint32_t next_number_;
  Bytes buffer_;  // the file from buffer_at_ on
  uint64_t buffer_at_ = 0;
  std::set<Range> writing_;                  // large records on their way to the file
  std::set<Range> holes_;                    // given up, not yet overwritten by a Skip record
  uint64_t durable_ = 0;                     // of the active segment
  uint64_t appended_ = 0;                    // appends that returned
  uint64_t unchecked_bytes_ = ~uint64_t{0};  // appended since free space was looked at
  Result<void> failed_;
  std::vector<Sidecar> finished_;
  std::atomic<bool> has_finished_ = false;
  std::atomic<uint64_t> tail_ = 0;  // segment:24 offset:40 of buffer_at_

  std::mutex sync_mutex_;
  std::condition_variable sync_done_;
  bool syncing_ = false;
  uint64_t synced_ = 0;  // value of appended_ that is durable
};

}  // namespace hailstone::chunk
