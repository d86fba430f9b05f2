// The bytes of a segment file: its header and the headers of its records (docs/formats/segment.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "chunk/store.h"

namespace hailstone::chunk {

inline constexpr size_t kSegmentHeaderBytes = 64;
inline constexpr size_t kRecordAlign = 8;         // every record starts on such an offset
inline constexpr size_t kBlockBytes = 64u << 10;  // stored payload covered by one CRC
inline constexpr size_t kPageBytes = 4096;        // large payloads start on such an offset
inline constexpr size_t kRecordFixedBytes = 56;   // record header without its CRC table
inline constexpr size_t kBlocksMax = kChunkBytesMax / kBlockBytes;
inline constexpr size_t kRecordHeaderBytesMax = kRecordFixedBytes + 4 * kBlocksMax;
inline constexpr size_t kErasedIdsMax = 1024;  // in one record
inline constexpr uint32_t kSegmentNumberMax = (1u << 24) - 1;
inline constexpr uint64_t kSegmentBytesMax = 4ull << 30;  // where a segment stops taking records; the last may pass it
inline constexpr uint64_t kSegmentFileBytesMax = kSegmentBytesMax + (8u << 20);  // nothing is read beyond

constexpr uint64_t align_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

struct SegmentHeader {
  uint32_t number = 0;      // as in the file name
  uint64_t order = 0;       // segments apply in (order, generation); equals `number` unless made by compaction
  uint32_t generation = 0;  // 0: written by appending; more: rewritten that often
  bool operator==(const SegmentHeader&) const = default;

  Bytes encode() const;
  /// Corrupt when damaged, Unsupported for a later version.
  static Result<SegmentHeader> decode(ByteView bytes);
};

enum class RecordKind : uint8_t {
  Chunk = 1,
  Erase = 2,  // the payload is 1..kErasedIdsMax ids
  Skip = 3,   // bytes nobody acknowledged; no CRC table
};

struct RecordHeader {
  RecordKind kind = RecordKind::Chunk;
  bool zstd = false;
  uint16_t payload_at = 0;  // from the start of the record
  uint32_t bytes = 0;       // uncompressed
  uint32_t stored = 0;      // payload as stored
  ChunkId id;               // Chunk only
  uint64_t synced_to = 0;   // all of this segment before here was durable when the record was written
  uint16_t blocks = 0;      // of block_crcs
  std::array<uint32_t, kBlocksMax> block_crcs;  // CRC32C of each block of the stored payload

  uint64_t span() const { return align_up(uint64_t{payload_at} + stored, kRecordAlign); }
  Stat stat() const { return {.bytes = bytes, .stored_bytes = stored, .zstd = zstd}; }
  ByteView block(ByteView payload, size_t i) const { return payload.substr(i * kBlockBytes, kBlockBytes); }
  /// The first block whose CRC does not match, said in words; nothing when all match. `payload` holds whole blocks
  /// beginning with number `first`.
  std::optional<std::string> damage(ByteView payload, size_t first) const;
};

/// Fills blocks and block_crcs.
void sum_blocks(RecordHeader& header, ByteView payload);

/// Where the payload begins in a record at `offset`: right behind the header, or on a page when `paged`.
uint16_t payload_position(uint64_t offset, uint32_t stored, bool paged);

/// The header alone, kRecordFixedBytes + 4 * blocks bytes. The CRC binds it to its segment and offset, so that a copy
/// of it elsewhere (in the payload of a chunk, in a misdirected write) is no record.
Bytes encode_record(const RecordHeader& header, uint32_t segment, uint64_t offset);

/// Reads the header of the record at `offset` from `bytes`, which begin there and hold at least
/// min(kRecordHeaderBytesMax, rest of the file). Corrupt with a reason when it is none.
Result<void> decode_record(ByteView bytes, uint32_t segment, uint64_t offset, RecordHeader& out);

/// Whether `bytes` begin as a record does: the cheap question asked while looking for the next one.
bool looks_like_record(ByteView bytes);

std::string segment_name(uint32_t number);  // "00000017.seg"
std::string sidecar_name(uint32_t number);  // "00000017.idx"
/// The number in such a name; nothing for any other name.
std::optional<uint32_t> parse_segment_name(std::string_view name, std::string_view suffix);

/// "segment 17: record at 4096".
std::string record_place(uint32_t segment, uint64_t offset);

}  // namespace hailstone::chunk
