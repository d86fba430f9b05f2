// How much of a store is in use, in all and by segment.
#pragma once

#include <map>
#include <mutex>

#include "chunk/sidecar.h"
#include "chunk/store.h"

namespace hailstone::chunk {

/// Thread-safe. Live bytes are those of records the index points to; the rest of a segment file is dead.
class Usage {
 public:
  struct Segment {
    uint64_t file_bytes = 0;
    uint64_t live_bytes = 0;
    uint64_t live_chunks = 0;
    uint64_t dead_bytes() const { return file_bytes > live_bytes ? file_bytes - live_bytes : 0; }
  };

  void add(uint32_t segment, const SegmentEntry& entry);
  void remove(uint32_t segment, const SegmentEntry& entry);
  void set_file_bytes(uint32_t segment, uint64_t bytes);
  void add_other_bytes(uint64_t bytes);
  void remove_other_bytes(uint64_t bytes);
  /// A segment that is gone, with nothing alive in it.
  void drop(uint32_t segment);
  /// chunks, stored, uncompressed and disk bytes; quarantined is left to the caller.
  ChunkStore::Stats stats() const;
  std::map<uint32_t, Segment> segments() const;

 private:
  mutable std::mutex mutex_;  // every put and erase; a few additions long
  std::map<uint32_t, Segment> segments_;
  ChunkStore::Stats totals_;
};

}  // namespace hailstone::chunk
