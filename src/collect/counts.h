// Reference counts kept exact through crashes: each step is one atomic batch of the collector's database.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "chunk/store.h"
#include "collect/holdings.h"
#include "collect/record.h"
#include "replica/database.h"

namespace hailstone::collect {

/// Counts the references of live chunks: a chunk that is referred to first has its own references counted, one that
/// is no longer has them discounted; so a step costs what became live or dead, not what exists.
///
/// Invariants: work of one sign only is under way at any time, so no count is discounted that was not yet counted;
/// newest work first, so there is never more of it than a path of nodes has children. After an error nothing in memory
/// counts: call load() again.
class Counts {
 public:
  /// `holdings`: told of what becomes live and of what comes into the store; null: nobody is.
  Counts(replica::Database& database, chunk::ChunkStore& chunks, Holdings* holdings = nullptr)
      : database_(database), chunks_(chunks), holdings_(holdings) {}

  /// Reads work that an earlier life left.
  Result<void> load();
  Result<std::optional<Record>> find(const ChunkId& id);

  /// Counts or discounts one reference made by a root; `also` goes into the same batch.
  Result<void> add(const Reference& reference, Work::Sign sign, const std::function<void(replica::Batch&)>& also);
  /// Does all work; `stop` is polled between batches. False when stopped.
  Result<bool> drain(const std::function<bool()>& stop);

  /// Into the trash: nobody refers to it. In the pending batch; nothing when it is known already.
  Result<void> note_unreferenced(const ChunkId& id);
  void forget(const ChunkId& id, const Record& record);  // trash that is gone
  Result<void> restamp(const ChunkId& id, const Record& record);
  replica::Batch& batch() { return batch_; }
  Result<void> commit();
  Result<void> commit_if_big();

  void set_stamp(UnixMicros now, uint64_t run) { now_ = now, run_ = run; }

  struct Stats {
    uint64_t counted = 0;  // references, either sign
    uint64_t trashed = 0;
    uint64_t unreadable = 0;  // dead chunks whose references could not be read: those stay counted
  };
  Stats stats;

 private:
  struct Pending {
    Work work;
    uint64_t number = 0;
    bool stored = false;
  };
  Result<Record*> working(const ChunkId& id);
  Result<void> change(const Reference& reference, Work::Sign sign);
  Result<void> step();

  replica::Database& database_;
  chunk::ChunkStore& chunks_;
  Holdings* const holdings_;
  UnixMicros now_;
  uint64_t run_ = 0;
  std::vector<Pending> work_;
  uint64_t next_number_ = 0;
  struct Hash {
    size_t operator()(const ChunkId& id) const {
      size_t out;
      std::memcpy(&out, id.bytes.data(), sizeof out);
      return out;
    }
  };
  struct Entry {
    std::optional<Record> before;
    std::optional<Record> now;
  };
  std::unordered_map<ChunkId, Entry, Hash> records_;  // changed since the last commit
  std::vector<ChunkId> arrived_;                      // live, and put since the last run
  replica::Batch batch_;
};

}  // namespace hailstone::collect
