// Opening a local store: from the files of a directory to an index, whatever a crash or damage has left of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
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

/// Fills what it is given from the newest segment to the oldest, so that what is known of an id stands: a segment says
/// nothing new about ids of which a later one has spoken. Thread-safe after open(). While segments are left nobody but
/// this may put into the index or take out of it.
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
    std::atomic<uint64_t>& damaged_chunks;  // slots flagged so
  };
  struct Outcome {
    std::optional<SegmentWriter::Active> active;  // where appending goes on
    uint64_t active_covered = 0;                  // by its sidecar
    uint32_t next_number = 1;
  };

  explicit Recovery(const Parts& parts) : parts_(parts) {}
  /// The segment that is appended to, and which others there are. Called once, first.
  Result<Outcome> open();
  /// Nothing is left: what the index does not know is not there.
  bool complete() const { return left() == 0; }
  uint64_t left() const { return left_.load(std::memory_order_acquire); }  // segments
  /// Loads the next older segment, or waits for the thread that does. After an error it can be tried again.
  Result<void> load_next();

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
  Result<Contents> load(const Segment& segment, bool newest);
  void settle();
  Result<void> read_header(Segment& segment);
  Result<Contents> read_contents(const Segment& segment, bool newest);
  std::optional<Sidecar> read_sidecar(const Segment& segment);
  Result<void> scan_rest(const Segment& segment, bool newest, Contents& contents);
  Result<void> settle_tail(const Segment& segment, disk::File& file, SegmentScan& scan, uint64_t floor, uint64_t from);
  void apply(uint32_t segment, const SegmentEntry& entry);
  bool spoken_of(const ChunkId& id) const;
  void report(const Segment& segment, const Contents& contents);
  void quarantine_entry(uint32_t segment, const SegmentEntry& entry, const std::string& what);
  void write_sidecar(const Segment& segment, const Contents& contents);
  Result<void> read_quarantine();
  void quarantine_known(const Segment& segment);
  std::string path(const std::string& name) const { return parts_.options.directory + "/" + name; }

  const Parts parts_;
  std::atomic<uint64_t> left_ = 0;  // as segments_.size(), after all that the last of them gave
  std::mutex mutex_;                // one thread loads, others wait for it: guards the two below
  std::condition_variable loaded_;  // `loading_` became false
  bool loading_ = false;
  std::vector<Segment> segments_;       // not loaded yet; the next one last. This and the rest: the loading thread's
  std::unordered_set<ChunkId> erased_;  // by segments that are loaded, and not put after that
  std::map<uint32_t, std::vector<QuarantinedRecord>> quarantined_;  // of segments that are not loaded
};

}  // namespace hailstone::chunk
