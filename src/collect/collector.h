// Finds the chunks of one node that nothing refers to any more, and erases them: counts, trash, collection.
#pragma once

#include <functional>
#include <memory>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "chunk/store.h"
#include "collect/counts.h"
#include "replica/database.h"

namespace hailstone::collect {

struct CollectOptions {
  uint64_t trash_window_seconds = 24 * 3600;  // between losing its last reference and being erased; 0: at once
  bool dry_run = false;                       // counts and trash move on, but nothing is erased
};

/// Polled between batches.
using Stop = std::function<bool()>;
/// Called now and then; `phase` is a constant text.
using Progress = std::function<void(std::string_view phase, uint64_t done)>;

struct CollectReport {
  uint64_t run = 0;
  bool recounted = false;  // began from nothing: the database was new, lost, or known to be too high
  uint64_t roots_added = 0;
  uint64_t roots_dropped = 0;
  uint64_t counted = 0;       // references counted and discounted
  uint64_t candidates = 0;    // chunks put since the last run
  uint64_t trashed = 0;       // came into the trash
  uint64_t pinned = 0;        // due, but an unsealed edit names them
  uint64_t held = 0;          // due, but put or touched too lately: an open session may commit them
  uint64_t erased = 0;        // (dry run: would be)
  uint64_t erased_bytes = 0;  // as stored
  uint64_t sessions = 0;      // open write sessions when the run began
  uint64_t shed = 0;          // gone from here, for all stores where they belong have them
  std::string blocked;        // why nothing could be erased, if so
  bool stopped = false;
};

/// Not thread-safe: one run at a time, and none while its Holdings are used otherwise. What it refers to outlives it.
/// The database is derived data: an empty one means a full recount, one that a crash has taken back to an earlier flush
/// is as good.
class Collector {
 public:
  /// Shows the state of all groups, with everything that was acknowledged before it was called.
  using Look = std::function<Result<std::unique_ptr<replica::Reader>>()>;
  /// `holdings`, over the same database: null where there is no other store.
  Collector(Look look, replica::Database& database, chunk::ChunkStore& chunks, const Clock& clock,
            Holdings* holdings = nullptr);
  /// Of a group of one.
  Collector(const replica::Database& state, replica::Database& database, chunk::ChunkStore& chunks, const Clock& clock)
      : Collector([&state]() -> Result<std::unique_ptr<replica::Reader>> { return state.snapshot(); }, database, chunks,
                  clock) {}
  ~Collector();

  /// Resumes what an earlier run left. Corrupt or NotFound when a chunk that is referred to can't be read: then nothing
  /// is erased until it is repaired.
  Result<CollectReport> run_once(const CollectOptions& options, const Stop& stop, const Progress& progress);

  /// What refers to a chunk, as of the last run, and the unsealed edits of now: at most `limit` lines for people.
  Result<std::vector<std::string>> why(const ChunkId& id, size_t limit);

  /// Counts everything from scratch in memory and compares. Invalid names the first chunk whose count is wrong.
  Result<uint64_t> verify(const Stop& stop);

  struct Usage {
    uint64_t reachable_chunks = 0, reachable_bytes = 0;  // bytes as stored, of those in this node's store
    uint64_t trash_chunks = 0, trash_bytes = 0;
    uint64_t disk_bytes = 0;  // the rest is headers, padding, index files, dead records and what no run has seen yet
  };
  Result<Usage> usage();
  /// How many are in the trash; O(that).
  Result<uint64_t> trash_chunks() const;

 private:
  using Pins = std::unordered_set<uint64_t>;
  struct Run;
  Result<Meta> load_meta() const;
  Result<void> start(Run& run);
  Result<bool> count_roots(Run& run);
  Result<bool> discount_roots(Run& run);
  Result<bool> take_candidates(Run& run);
  Result<void> empty_trash(Run& run);
  Result<void> erase_due(Run& run, const std::vector<ChunkId>& due);
  Result<Pins> pins(const replica::Reader& state);
  Result<bool> look_at_holdings(Run& run);
  Result<chunk::Stat> stat_here(const ChunkId& id) const;

  const Look look_;
  replica::Database& database_;
  chunk::ChunkStore& chunks_;
  const Clock& clock_;
  Holdings* const holdings_;
  Counts counts_;
};

}  // namespace hailstone::collect
