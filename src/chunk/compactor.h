// Gives back the space of dead records: moves what lives in a segment to the end of the log and removes the file.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/logger.h"
#include "chunk/id_locks.h"
#include "chunk/index.h"
#include "chunk/local_store.h"
#include "chunk/quarantine.h"
#include "chunk/records.h"
#include "chunk/segment_files.h"
#include "chunk/segment_writer.h"
#include "chunk/usage.h"

namespace hailstone::chunk {

/// Which finished segments are worth rewriting: at least `dead_percent` of the file dead. All-dead ones first, then by
/// number, or by live bytes (fewest first) where room is `tight`: what costs least room gives room for the next.
enum class Tightness : uint8_t { Roomy, Tight };
std::vector<uint32_t> plan_compaction(const std::map<uint32_t, Usage::Segment>& segments, uint32_t active,
                                      uint32_t dead_percent, Tightness tightness);

/// One run at a time. Invariants, each of which holds at every disk operation:
/// 1. A record is moved under its id's lock, so the order of puts and erasures of an id stays that of the log.
/// 2. A file goes only when all that lived in it is durable elsewhere, and its sidecar goes before it, durably: a
///    sidecar without its file means damage.
/// 3. An erasure goes only when no other file holds the chunk that it erases: otherwise it is written again first.
/// 4. Only what verifies by CRC and name is moved. A damaged record stays where it is, and its file with it, until the
///    chunk is put again or erased.
class Compactor {
 public:
  struct Parts {
    disk::Disk& disk;
    const LocalStoreOptions& options;
    Logger& logger;
    SegmentFiles& files;
    Records& records;
    SegmentWriter& writer;
    Index& index;
    Usage& usage;
    Quarantine& quarantine;
    IdLocks& id_locks;
    // Of the store: takes a record out of service; makes index files of what is full; whether an id is unknown.
    std::function<void(const Index::Slot&, const ChunkId&, const std::string& what)> damaged;
    std::function<void()> write_sidecars;
    std::function<Result<bool>(const ChunkId&)> absent;
    std::function<Result<std::vector<SegmentEntry>>(uint32_t segment)> entries_of;  // last words or all, with erasures
    std::function<void(uint64_t prefix, Location from, Location to, const SegmentEntry&)> moved;
  };
  explicit Compactor(const Parts& parts) : parts_(parts) {}

  Result<LocalStore::Compacted> run(const LocalStore::CompactOptions& options, const std::function<bool()>& stop);

 private:
  struct Victim {
    uint32_t segment = 0;
    std::vector<SegmentEntry> entries;
  };
  struct Run {
    const LocalStore::CompactOptions& options;
    const std::function<bool()>& stop;
    LocalStore::Compacted report{};
    std::unordered_map<ChunkId, std::vector<uint32_t>> holders{};  // of ids that victims erase: where a record is
  };
  Result<void> close_active(Run& run);
  Result<std::vector<ChunkId>> needed_erasures(const Run& run, const Victim& victim);
  Result<void> find_holders(Run& run, const std::vector<Victim>& victims);
  Result<void> compact(Run& run, const Victim& victim);
  Result<bool> has_room(uint64_t bytes);
  Result<void> move_live(Run& run, const Victim& victim);
  Result<uint64_t> move(uint32_t segment, const SegmentEntry& entry);
  Result<void> carry_erasures(Run& run, const std::vector<ChunkId>& ids);
  Result<void> remove_segment(Run& run, uint32_t segment);

  const Parts parts_;
  std::mutex running_;  // a run takes as long as it takes; others wait
  // Segments whose erasures are needed still, by how many had been removed when that was found: asked again when more
  // have gone.
  std::map<uint32_t, uint64_t> kept_at_;
  uint64_t removed_ = 0;
};

}  // namespace hailstone::chunk
