// Reads a segment from front to back without any index: what is in it, and where it is damaged or torn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chunk/segment.h"
#include "chunk/sidecar.h"
#include "disk/disk.h"

namespace hailstone::chunk {

struct ScannedRecord {
  uint64_t offset = 0;
  uint64_t span = 0;
  RecordKind kind = RecordKind::Chunk;
  uint32_t bytes = 0;
  uint32_t stored = 0;
  uint64_t synced_to = 0;
  ChunkId id;                   // of a Chunk record
  std::vector<ChunkId> erased;  // of an Erase record
  uint64_t end() const { return offset + span; }
  SegmentEntry entry() const;
};

/// Bytes between records that are no record.
struct BadZone {
  uint64_t offset = 0;
  uint64_t length = 0;
  SegmentEntry entry;  // of the first record in it, when its header could be read; otherwise all zero
  std::string what;    // about that record
};

struct SegmentScan {
  std::vector<ScannedRecord> records;  // by offset
  std::vector<BadZone> bad;            // by offset
};

/// Records of [from, size) of segment `number`. After damage it goes on with the next header that is whole. The
/// payloads of chunks are not read, those of Erase records are verified. Fails only when the file can't be read.
Result<SegmentScan> scan_segment(const disk::File& file, uint32_t number, uint64_t from, uint64_t size);

/// Whether the record at `offset` has a whole header and a payload that matches its CRCs: what is wrong, or nothing.
Result<std::optional<std::string>> check_payload(const disk::File& file, uint32_t number, uint64_t offset);

}  // namespace hailstone::chunk
