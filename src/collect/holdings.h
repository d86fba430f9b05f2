// What this node's store should hold and lacks, and what it holds for others: noticed by counting, put right bit by
// bit.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <unordered_set>

#include "base/logger.h"
#include "chunk/cluster_store.h"
#include "collect/record.h"
#include "replica/database.h"

namespace hailstone::collect {

/// A chunk that is referred to belongs on the stores that the placement names. Those that this node's store should have
/// and lacks are listed and pulled from the others; those that it has for others are listed, and go once all of those
/// have them. What becomes live, comes into the store, or is found damaged is looked at as it does; all that is live is
/// gone through (a survey) after the list of stores changed, after the store lost chunks, or when asked.
///
/// Invariants: what is listed is looked at again before anything is done about it, so that a row too many costs a
/// look, and a row is written in the batch of what led to it, so that none is missing. A chunk goes from here only by
/// the store's collection, and after each target said, under a session of this node, that it has it durably: so nobody
/// who counts on this copy loses it, and of two nodes with different lists at most one can let go on the other's word.
///
/// One thread at a time, but for status().
class Holdings {
 public:
  using Stop = std::function<bool()>;
  Holdings(replica::Database& database, chunk::ClusterStore& store, Logger& logger)
      : database_(database), store_(store), logger_(logger) {}

  Result<chunk::Stat> stat_here(const ChunkId& id) const { return store_.stat_here(id); }

  // -- by a collector's run -------------------------------------------------------------------------------------------
  /// Lists those of `ids`, which are referred to, that are not where they belong.
  Result<void> check(std::span<const ChunkId> ids, replica::Batch& batch);
  /// All counts are made anew, and each chunk with them is checked.
  void begin_recount(replica::Batch& batch);
  /// What unsealed edits name: referred to without a count. Replaces what was told before.
  Result<void> check_unsealed(std::vector<ChunkId> ids);
  /// The store lost chunks, nobody knows which.
  void lost_chunks(replica::Batch& batch) { restart_survey(batch); }
  /// Goes on with the survey, if one is due. False: stopped.
  Result<bool> survey(const Stop& stop);
  struct Shed {
    uint64_t chunks = 0;  // gone from here
    uint64_t held = 0;    // open sessions may count on them
  };
  /// Lets go of what all targets have. `token`: null: only looks.
  Result<Shed> shed(const chunk::CollectionToken* token, const Stop& stop);

  // -- between runs ---------------------------------------------------------------------------------------------------
  /// The next run goes through everything.
  Result<void> ask_survey();
  /// By their names, or the first 8 bytes of them with zeros behind; all zeros: nobody knows which.
  Result<void> found_damaged(std::span<const ChunkId> ids);
  /// A survey is due that no run has finished.
  Result<bool> survey_due() const;
  struct Slice {
    uint64_t chunks = 0, bytes = 0;
    bool ended = false;  // the list's end was reached: what is left of it could not be had
  };
  /// Pulls about `bytes_max` of what is listed, going on where the last call ended. `run`: the number of the last run.
  Result<Slice> fill(uint64_t bytes_max, uint64_t run, const Stop& stop);

  struct Status {
    uint64_t lacking = 0;         // chunks listed to be pulled
    uint64_t not_reached = 0;     // of these: stores that may have them did not answer
    uint64_t lost = 0;            // of these: no store has a good copy, and they are referred to
    uint64_t surplus = 0;         // chunks that belong elsewhere
    uint64_t surplus_needed = 0;  // of these: not all stores where they belong have them
    bool surveyed = false;        // all was gone through since the list of stores changed
    double survey_done = 0;       // 0..1
    bool receiving = true;        // the list has this store In
    uint64_t filled_chunks = 0, filled_bytes = 0, shed_chunks = 0;  // since the start
    /// Nothing is here that must be kept: the node may go for good.
    bool removable() const { return !receiving && surveyed && surplus_needed == 0; }
  };
  Status status() const;
  Result<bool> anything_to_fill();

 private:
  struct Survey {
    uint64_t list = 0;  // fingerprint of the stores that it is for
    bool done = false;
    ChunkId after;  // gone through up to this one
  };
  static uint64_t fingerprint(const chunk::Placement& placement);
  static void put_survey(const Survey& survey, replica::Batch& batch);
  void restart_survey(replica::Batch& batch);
  Result<std::optional<Survey>> load_survey() const;
  Result<bool> referred_to(const ChunkId& id) const;
  void belongs(const chunk::Placement& placement, std::span<const ChunkId> ids, std::vector<bool>& out) const;
  Result<void> shed_some(std::span<const ChunkId> rows, const chunk::CollectionToken* token, Shed& out,
                         uint64_t& needed);
  Result<void> settle_filled(std::span<const ChunkId> rows, const chunk::ClusterStore::Filled& filled, uint64_t run);
  Result<uint64_t> count(char table) const;
  template <class Change>
  void change_status(Change change);

  replica::Database& database_;
  chunk::ClusterStore& store_;
  Logger& logger_;
  std::unordered_set<uint64_t> unsealed_;  // first 8 bytes of their ids
  ChunkId fill_after_;
  bool counted_ = false;                             // what was listed by an earlier life is in status_
  uint64_t round_not_reached_ = 0, round_lost_ = 0;  // of this way through the list
  uint64_t round_reports_ = 0;

  mutable std::mutex mutex_;  // guards status_, which any thread reads
  Status status_;
};

}  // namespace hailstone::collect
