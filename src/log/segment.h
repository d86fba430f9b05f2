// The bytes of a log segment (docs/formats/log.md): pure encoding, and the scan that tells a torn end from damage.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace hailstone::log {

inline constexpr uint16_t kFormatVersion = 1;
inline constexpr size_t kBlockBytes = 4096;      // batches begin on a block boundary and fill whole blocks
inline constexpr size_t kSectorBytes = 512;      // what a device writes wholly or not at all
inline constexpr size_t kSectorDataBytes = 510;  // the rest is the sector's stamp
inline constexpr size_t kRecordHeaderBytes = 17;

/// Block 0 of a segment. It is durable before the segment gets its name.
struct SegmentHeader {
  uint64_t segment = 0;      // number, 1 is the log's first; the file's name
  uint64_t first_batch = 1;  // number of the first batch here: all before it were durable when this was written
  Slot slot_before;          // last slot of the segments before this one
  bool operator==(const SegmentHeader&) const = default;
};

enum class RecordKind : uint8_t { Command = 1 };

struct Record {
  RecordKind kind = RecordKind::Command;
  uint32_t group = 0;
  Slot slot;
  ByteView body;
  bool operator==(const Record&) const = default;
};

/// Exactly one block.
Bytes encode_segment_header(const SegmentHeader& header);
/// Corrupt, or Unsupported for a later version.
Result<SegmentHeader> decode_segment_header(ByteView block);

/// Appends the record to a batch's payload.
void encode_record(Bytes& payload, const Record& record);
/// Bytes on disk of a batch with this payload.
uint64_t batch_bytes(uint64_t payload_bytes);
/// A whole number of blocks, each sector stamped.
Bytes encode_batch(uint64_t segment, uint64_t batch, ByteView payload);

/// How the batches of a segment end.
enum class Ending : uint8_t {
  Clean,    // only zeros follow
  Torn,     // part of a batch follows that was never durable: it may be zeroed and written again
  Damaged,  // something that was complete, and may have been acknowledged, is not readable
};

struct Scan {
  SegmentHeader header;
  uint64_t next_batch = 0;    // the first that is not intact
  uint64_t end_offset = 0;    // where it is or would be
  uint64_t last_offset = 0;   // where the last intact batch begins; end_offset when there is none
  uint64_t dirty_offset = 0;  // Torn: end of the last sector that is not zero
  Slot last_slot;             // header.slot_before when there is no record
  Ending ending = Ending::Clean;
  std::string reason;  // Torn and Damaged: what was found at end_offset
};

using RecordVisitor = std::function<Result<void>(const Record& record, uint64_t batch_offset)>;

/// Reads a whole segment, calling `visit` for the records of each intact batch, in order. Errors: those of the header,
/// of `visit`, Corrupt for an intact batch with impossible records, Unsupported for a record kind or group of a later
/// version. Torn is a verdict on the log's last segment only; in any other, whatever ends early is damage.
Result<Scan> scan_segment(ByteView image, const RecordVisitor& visit);

struct Batch {
  uint64_t number = 0;
  uint64_t bytes = 0;  // on disk
};
/// Visits the records of the batch of that segment which begins with the image's first byte. Nothing when none does, or
/// it is not intact. Errors: those of `visit`, Corrupt for impossible records, Unsupported as for scan_segment.
Result<std::optional<Batch>> read_batch(ByteView image, uint64_t segment, const RecordVisitor& visit);

}  // namespace hailstone::log
