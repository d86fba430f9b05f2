// The durable log: numbered records, appended, synced in groups, read back, trimmed (docs/formats/log.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/logger.h"
#include "disk/disk.h"

namespace hailstone::log {

inline constexpr size_t kRecordBytesMax = 16u << 20;
inline constexpr uint64_t kSegmentBytesMin = 16u << 10;

/// Where the next segment is zero-filled: by a thread, once half of the current one is used; or by the caller when it
/// is needed, which stalls it but makes the order of disk operations the same in every run.
enum class SparePreparation : uint8_t { Background, Inline };

struct LogOptions {
  std::string directory;
  /// Zero-filled ahead and recycled: an overwrite syncs faster than an append. At least kSegmentBytesMin; a record that
  /// does not fit gets a larger segment of its own.
  uint64_t segment_bytes = 64u << 20;
  SparePreparation spare = SparePreparation::Background;
};

/// One writer. Slots rise by one from first() to last(). After a failed write or sync the log is failed for ever (Io).
class Log {
 public:
  /// Opens or creates. A torn tail (never synced, so never acknowledged) is cut; damage before the end is Corrupt,
  /// naming file, offset and slot, and nothing is changed on disk.
  static Result<std::unique_ptr<Log>> open(disk::Disk& disk, const LogOptions& options, Logger& logger);
  virtual ~Log() = default;

  /// Buffers a record; `slot` must be last().next() (CHECKed). Exhausted when the next segment cannot be had: not
  /// logged, and the log goes on. Invalid beyond kRecordBytesMax. Syncs what is buffered when it moves to another
  /// segment.
  virtual Result<void> append(Slot slot, ByteView record) = 0;
  /// Everything appended is durable on return.
  virtual Result<void> sync() = 0;
  /// Calls `visit` for each durable record with slot >= from, in order, until it returns an error.
  virtual Result<void> replay(Slot from, const std::function<Result<void>(Slot, ByteView)>& visit) = 0;
  /// Reads and verifies the batch that holds `slot`, and gives all of its records to `visit`, in order. NotFound when
  /// the slot is not held, or not yet durable; Corrupt, naming file and offset, when the batch is not intact any more.
  virtual Result<void> read_batch(Slot slot, const std::function<Result<void>(Slot, ByteView)>& visit) = 0;
  /// Segments that hold only slots <= upto may be recycled.
  virtual Result<void> trim(Slot upto) = 0;
  virtual Slot first() const = 0;           // lowest slot still held; last().next() when empty
  virtual Slot last() const = 0;            // highest appended; 0 when nothing ever was
  virtual uint64_t size_bytes() const = 0;  // of the segments held, without the spare
};

/// What can still be read of a log that open() calls Corrupt: visits every intact record, whatever is missing between;
/// slots rise. Changes nothing. Returns the damages, each naming file, offset and what is wrong. For a replica that
/// gets the rest from its peers, and for people.
Result<std::vector<std::string>> salvage(disk::Disk& disk, const std::string& directory,
                                         const std::function<Result<void>(Slot, ByteView)>& visit);

}  // namespace hailstone::log
