// The index of one segment in a file of its own, so that opening a store need not read the segments. Losing it loses
// nothing.
#pragma once

#include <vector>

#include "chunk/segment.h"

namespace hailstone::chunk {

/// What a segment did to one id. 48 bytes: the active segment keeps these in memory.
struct SegmentEntry {
  ChunkId id;
  uint32_t offset8 = 0;  // of the record, in units of 8 bytes; 0: erased
  uint32_t stored = 0;
  uint32_t bytes = 0;
  uint32_t span8 = 0;  // of the record, in units of 8 bytes
  bool operator==(const SegmentEntry&) const = default;

  bool erased() const { return offset8 == 0; }
  uint64_t offset() const { return uint64_t{offset8} * kRecordAlign; }
  uint64_t span() const { return uint64_t{span8} * kRecordAlign; }
};

/// The last word of a segment on each id it names, in byte order of the ids.
struct Sidecar {
  SegmentHeader segment;
  uint64_t covered = 0;  // bytes of the segment, from its start, that this describes; all of them were durable
  std::vector<SegmentEntry> entries;
  bool operator==(const Sidecar&) const = default;

  Bytes encode() const;
  /// Corrupt when damaged or out of order, Unsupported for a later version.
  static Result<Sidecar> decode(ByteView bytes);
};

/// Sorts by id and keeps the last of each. `entries` are in the order in which they happened.
std::vector<SegmentEntry> last_words(const std::vector<SegmentEntry>& entries);

}  // namespace hailstone::chunk
