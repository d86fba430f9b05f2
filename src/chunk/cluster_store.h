// Chunks on the stores of a cell: several copies of each, in different places, wherever they are asked for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/logger.h"
#include "chunk/chunk_service.h"
#include "chunk/compression.h"
#include "chunk/generations.h"
#include "chunk/hedged_read.h"
#include "chunk/placement.h"
#include "chunk/replicator.h"
#include "chunk/store.h"
#include "net/rpc.h"

namespace hailstone::chunk {

struct ClusterStoreOptions {
  net::NodeId self;
  uint64_t term = 0;  // of this process, higher than those of this node's earlier ones; not 0
  std::string place;  // "site/rack/host" of this node
  size_t copies = 3;  // of each chunk, or as many as there are stores
  enum class Keep : uint8_t {
    Never,
    WhenTarget,  // what was read from another store and should be in this one is put there
  };
  Keep keep = Keep::WhenTarget;
  std::chrono::milliseconds sessions_every{1000};  // that other stores hear which write sessions have ended
  std::chrono::milliseconds patience{10'000};      // for one answer of another store
  ReplicatorOptions replicator;
  HedgeOptions hedge;
};

/// A ChunkStore over this node's own store, if it has one, and those of its peers. Where there is no other store than
/// its own, every call goes straight to that.
///
/// put() is for the quorum of a chunk's targets, has() and touch() ask for as many. Collection, what was added, stats
/// and erase() are about this node's own store: each node collects its own. So is extent(): Unsupported for a chunk
/// that is not here.
class ClusterStore final : public ChunkStore {
 public:
  /// Before the Rpc is started: serves `local`, which is null on a node without a store. Stop the Rpc before this goes.
  ClusterStore(const ClusterStoreOptions& options, ChunkStore* local, net::Rpc& rpc, Logger& logger);
  ~ClusterStore() override;

  /// The cell's lasting list, whoever is up. Invalid: then nothing changes. Before the first list nothing can be put.
  Result<void> set_stores(std::vector<StoreInfo> stores);
  std::shared_ptr<const Placement> placement() const;

  /// What other nodes' writes hold here; null without a store of its own. Its owner tells it who may write and what is
  /// fenced, else nothing is collected.
  RemoteSessions* sessions() { return service_ ? &service_->sessions() : nullptr; }
  /// Tells the other stores now which of this node's write sessions have ended, and returns when those that are up have
  /// heard it. Also done every sessions_every.
  void tell_sessions();

  /// Copies into this node's own store what it lacks of `ids`, or has damaged, from the others, durably.
  struct Filled {
    uint64_t chunks = 0, bytes = 0;    // bytes as stored
    std::vector<ChunkId> lost;         // each store says that it has none, or none that is good
    std::vector<ChunkId> not_reached;  // some store that may have it did not answer
  };
  Result<Filled> fill(std::span<const ChunkId> ids);
  /// Of this node's own store, as has(); what it says is there is durable.
  Result<std::vector<bool>> here(std::span<const ChunkId> ids);
  /// True: each target but this node has it, durable, and held for the caller's session. A target that does not answer
  /// has nothing.
  Result<std::vector<bool>> on_all_targets(std::span<const ChunkId> ids);
  /// Of this node's own store.
  Result<Stat> stat_here(const ChunkId& id);
  /// There are other stores than this node's.
  bool shared() const { return !alone(); }
  net::NodeId self() const { return options_.self; }

  Result<ChunkId> put(ByteView bytes, Compress compress) override;
  Result<void> put_named(const ChunkId& id, ByteView bytes, Compress compress) override;
  Result<void> put_stored(const ChunkId& id, const StoredView& chunk) override;
  Result<void> sync() override;
  Result<SharedBytes> get(const ChunkId& id) override;
  Result<StoredChunk> get_stored(const ChunkId& id) override;
  Result<Stat> stat(const ChunkId& id) override;
  Result<Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override;
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override;
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override;
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override;
  Result<void> erase(std::span<const ChunkId> ids) override;
  std::unique_ptr<WriteSession> begin_writes() override;
  Result<CollectionToken> begin_collection() override;
  Result<std::vector<bool>> collect(const CollectionToken& token, std::span<const ChunkId> ids) override;
  void end_collection(const CollectionToken& token) override;
  Result<Added> added_since(const Position& from) override;
  Stats stats() const override;

  struct Metrics {
    Replicator::Metrics writes;
    HedgedReader::Metrics reads;
    uint64_t healed = 0;  // chunks put into this node's store again because it had them damaged
    uint64_t kept = 0;    // because it lacked them
  };
  Metrics metrics() const;

 private:
  /// What other stores were told of this node's sessions.
  struct Told {
    bool up = false;
    uint64_t ups = 0;      // how often it came up: it may have been opened anew each time
    uint64_t greeted = 0;  // the last of these for which it was told
    uint64_t named = 0;    // the highest generation that it was sent
    uint64_t ended = 0;    // and the highest end that it has confirmed
  };
  /// Of each id: copies on stores that take copies, how many of those did not answer, and whether any store has it.
  struct Counts {
    std::vector<size_t> copies, unanswered;
    std::vector<bool> somewhere;
  };

  bool alone() const { return alone_.load(std::memory_order_acquire); }
  void watch(net::NodeId peer, bool up);
  WriterMark mark_for(net::NodeId store);
  void confirmed(net::NodeId store, const WriterMark& mark);
  void send(net::NodeId to, std::vector<Replicator::Item> batch, std::function<void(Replicator::Answers)> done);
  std::vector<net::NodeId> read_order(const ChunkId& id) const;
  Result<HedgedReader::Read> fetch_remote(const ChunkId& id);
  void mend(const ChunkId& id, const StoredChunk& chunk, Code local);
  Counts ask(RemoteMethod method, std::span<const ChunkId> ids);
  void ask_some(RemoteMethod method, std::span<const ChunkId> ids,
                const std::map<net::NodeId, std::vector<size_t>>& questions, size_t enough_copies, Counts& counts);
  Result<void> copy_again(const ChunkId& id);
  void tell_sessions_until_stopped();

  const ClusterStoreOptions options_;
  ChunkStore* const local_;
  net::Rpc& rpc_;
  Logger& logger_;
  Compressor compressor_;
  const std::unique_ptr<ChunkService> service_;
  const std::shared_ptr<Generations> generations_;
  HedgedReader reader_;
  Replicator replicator_;
  std::atomic<bool> alone_ = false;
  std::atomic<bool> was_alone_ = false;  // so there may be puts that only the own store knows of
  std::atomic<uint64_t> healed_ = 0, kept_ = 0;

  mutable std::mutex mutex_;  // of all below; held for some lines
  std::shared_ptr<const Placement> placement_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  bool greet_ = false;  // a store came up
  std::map<net::NodeId, Told> told_;
  std::thread teller_;  // last: it uses the rest
};

}  // namespace hailstone::chunk
