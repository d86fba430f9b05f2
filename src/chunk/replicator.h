// Puts on their way to the stores that shall keep them, and the wait until enough of those have them durably.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "chunk/placement.h"
#include "chunk/store.h"
#include "net/transport.h"

namespace hailstone::chunk {

struct ReplicatorOptions {
  size_t queue_bytes_max = 64u << 20;          // per store, of chunks that wait for it or are on their way
  size_t unsettled_bytes_max = 128u << 20;     // of chunks that too few stores have, in all
  size_t batch_bytes = 4u << 20;               // a batch ends with the chunk that passes this
  size_t batches_in_flight = 4;                // per store; what comes meanwhile shares the next one, and one fdatasync
  std::chrono::milliseconds patience{30'000};  // of put() for room, and of sync()
};

/// Thread-safe. A chunk goes to its targets at once. When one of those fails or is down, and without it too few would
/// be left, the next store in the placement's order stands in for it.
///
/// Invariants: a chunk is settled when a quorum has it durably. sync() returns well only when all that was put before
/// is settled. One that could not be settled stays, is readable, and is tried again by each sync() until it is: so
/// nobody who put it is told that it is durable.
class Replicator {
 public:
  using Chunk = std::shared_ptr<const StoredChunk>;
  struct Item {
    ChunkId id;
    Chunk chunk;
  };
  /// For each chunk of a batch whether it is durable there.
  using Answers = std::vector<Result<void>>;
  /// Sends a batch to another store and calls `done` later from another thread, or at once.
  using Send = std::function<void(net::NodeId to, std::vector<Item> batch, std::function<void(Answers)> done)>;

  /// `local`: this node's own store, or null. Everything outlives it, and no `done` is called after it has gone.
  Replicator(const ReplicatorOptions& options, net::NodeId self, ChunkStore* local, Send send);
  ~Replicator();

  void set_placement(std::shared_ptr<const Placement> placement);
  void set_up(net::NodeId peer, bool up);

  /// Unavailable, Exhausted: too few stores can take it; nothing is kept then.
  Result<void> put(const ChunkId& id, Chunk chunk);
  /// Unavailable, Exhausted: names the chunk, the stores and what is wrong with them.
  Result<void> sync();
  /// A chunk that is not settled yet.
  Chunk find(const ChunkId& id) const;
  bool idle() const;

  struct Metrics {
    uint64_t settled = 0;
    uint64_t stand_ins = 0;      // copies that went to another store than the chunk's targets
    uint64_t missed_copies = 0;  // attempts that failed
    uint64_t unsettled = 0, unsettled_bytes = 0;
  };
  Metrics metrics() const;

 private:
  struct Put;
  struct Peer;
  /// One sync() while it waits. Each is woken by what it waits for alone: there are as many as writers.
  struct Waiter {
    uint64_t upto = 0;
    std::condition_variable woken;
  };
  using PutPtr = std::shared_ptr<Put>;
  using Lock = std::unique_lock<std::mutex>;
  using Time = std::chrono::steady_clock::time_point;

  bool has_room(net::NodeId id, size_t bytes) const;
  Result<void> wait_for_room(Lock& lock, const std::vector<net::NodeId>& order, size_t bytes, Time deadline);
  void advance(const PutPtr& put);
  void attempt(const PutPtr& put, net::NodeId node);
  void succeeded(const PutPtr& put, net::NodeId node);
  void refused(const PutPtr& put, net::NodeId node, Error error);
  void pump(Lock& lock);
  void answered(net::NodeId node, const std::vector<PutPtr>& batch, size_t bytes, const Answers& answers);
  void store_local(Lock& lock);
  void sync_local(Lock& lock);
  void try_again(uint64_t upto);
  void forget(const Put& put);
  bool has_local_work(uint64_t upto) const;
  void wake();
  Error why(const Put& put) const;

  const ReplicatorOptions options_;
  const net::NodeId self_;
  ChunkStore* const local_;
  const Send send_;

  mutable std::mutex mutex_;  // of all below: writers, answers; held for bookkeeping only
  std::list<Waiter*> waiters_;
  size_t waiting_for_room_ = 0;
  std::condition_variable room_;
  std::shared_ptr<const Placement> placement_;
  std::map<net::NodeId, Peer> peers_;
  uint64_t next_number_ = 1;
  std::map<uint64_t, PutPtr> unsettled_;  // by number
  std::unordered_map<ChunkId, PutPtr> newest_;
  size_t unsettled_bytes_ = 0;
  std::set<uint64_t> failed_;                // of the unsettled: not enough stores are left to try
  std::deque<PutPtr> local_todo_;            // to be put into the own store
  std::map<uint64_t, PutPtr> local_placed_;  // there, and not yet durable; by number
  Metrics metrics_;
};

}  // namespace hailstone::chunk
