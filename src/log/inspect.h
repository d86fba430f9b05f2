// A log as it lies on disk, for people: its segments, what is in them and what is wrong with them. Changes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "disk/disk.h"

namespace hailstone::log {

struct SegmentReport {
  std::string path;
  uint64_t number = 0;
  uint64_t bytes = 0;       // of the file
  uint64_t used_bytes = 0;  // up to the end of its last intact batch
  uint64_t batches = 0;     // intact
  Slot first, last;         // of its records; 0: it has none
  std::string torn;         // the last segment only: what an unfinished write left, to be cut when the log is opened
};

struct Damage {
  std::string path;
  uint64_t offset = 0;
  std::string what;
};

struct LogReport {
  std::vector<SegmentReport> segments;  // by number
  std::vector<Damage> damages;          // by segment, then by offset
};

/// Where a record was found.
struct RecordPlace {
  const SegmentReport& segment;
  uint64_t batch_offset = 0;
  Slot slot;
};

/// Visits every intact record, whatever is missing between. Errors: of `visit`, or that the directory can't be listed;
/// whatever is wrong with a segment is in the report.
Result<LogReport> inspect(disk::Disk& disk, const std::string& directory,
                          const std::function<Result<void>(const RecordPlace&, ByteView)>& visit);

}  // namespace hailstone::log
