// Opening a local store: from the files of a directory to an index, whatever a crash or damage has left of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/logger.h"
#include "chunk/index.h"
#include "chunk/local_store.h"
#include "chunk/quarantine.h"
#include "chunk/records.h"
#include "chunk/segment_scan.h"
#include "chunk/segment_writer.h"
#include "chunk/usage.h"

namespace hailstone::chunk {

/// Fills what it is given; used once.
class Recovery {
 public:
  struct Parts {
    disk::Disk& disk;
    const LocalStoreOptions& options;
    Logger& logger;
    SegmentFiles& files;
    Records& records;
    Index& index;
    Usage& usage;
    Quarantine& quarantine;
  };
  struct Outcome {
    std::optional<SegmentWriter::Active> active;  // where appending goes on
    uint64_t active_covered = 0;                  // by its sidecar
    uint32_t next_number = 1;
    uint64_t quarantined_chunks = 0;  // slots so flagged
  };

  explicit Recovery(const Parts& parts) : parts_(parts) {}
  Result<Outcome> run();

 private:
  struct Segment {
    SegmentHeader header;
    bool has_file = false;
    bool has_sidecar = false;
    bool has_header = false;  // whole; otherwise `header` is guessed from the name
    std::string header_what;
    uint64_t size = 0;
  };
  struct Contents {
    std::vector<SegmentEntry> entries;  // in order
    std::vector<std::pair<SegmentEntry, std::string>> damaged;
    std::vector<BadZone> nameless;
    uint64_t covered = 0;  // by the sidecar
    uint64_t end = 0;      // of the last record
    bool clean() const { return damaged.empty() && nameless.empty(); }
  };

  Result<std::vector<Segment>> find_segments();
  Result<void> read_header(Segment& segment);
  Result<Contents> read_contents(const Segment& segment, bool newest);
  std::optional<Sidecar> read_sidecar(const Segment& segment);
  Result<void> scan_rest(const Segment& segment, bool newest, Contents& contents);
  Result<void> settle_tail(const Segment& segment, disk::File& file, SegmentScan& scan, uint64_t floor, uint64_t from);
  void apply(const Segment& segment, const Contents& contents);
  void apply(uint32_t segment, const SegmentEntry& entry);
  void report(const Segment& segment, const Contents& contents);
  void quarantine_entry(uint32_t segment, const SegmentEntry& entry, const std::string& what);
  void write_sidecar(const Segment& segment, Contents& contents);
  Result<void> load_quarantine(const std::vector<Segment>& segments);
  std::string path(const std::string& name) const { return parts_.options.directory + "/" + name; }

  const Parts parts_;
  Outcome outcome_;
};

}  // namespace hailstone::chunk
