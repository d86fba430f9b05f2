// For tests only: the stores of a cell in one process, whose disks, connections and answers can fail.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/logger.h"
#include "chunk/cluster_store.h"
#include "chunk/local_store.h"
#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"
#include "net/memory_transport.h"

namespace hailstone::chunk {

inline constexpr auto kClusterPatience = std::chrono::seconds(30);  // a failed test's, never a passing one's

/// A store whose calls can be held up, refused and lied about. Passes everything else on.
class FaultyStore final : public ChunkStore {
 public:
  explicit FaultyStore(ChunkStore& store) : store_(store) {}

  /// Called before each put, get, touch and sync, with its name; an error is the answer.
  std::function<Result<void>(const std::string& call)> before;
  /// Gives other bytes instead of those of get_stored().
  std::function<void(StoredChunk&)> lie;
  /// Called after each put and touch.
  std::function<void()> done;
  std::atomic<int> touches = 0;

  Result<ChunkId> put(ByteView bytes, Compress compress) override {
    TRY_DO(ask("put"));
    return store_.put(bytes, compress);
  }
  Result<void> put_named(const ChunkId& id, ByteView bytes, Compress compress) override {
    TRY_DO(ask("put"));
    return store_.put_named(id, bytes, compress);
  }
  Result<void> put_stored(const ChunkId& id, const StoredView& chunk) override {
    TRY_DO(ask("put"));
    auto stored = store_.put_stored(id, chunk);
    if (done) done();
    return stored;
  }
  Result<void> sync() override {
    TRY_DO(ask("sync"));
    return store_.sync();
  }
  Result<SharedBytes> get(const ChunkId& id) override {
    TRY_DO(ask("get"));
    return store_.get(id);
  }
  Result<StoredChunk> get_stored(const ChunkId& id) override {
    TRY_DO(ask("get"));
    auto out = store_.get_stored(id);
    if (out && lie) lie(*out);
    return out;
  }
  Result<Stat> stat(const ChunkId& id) override { return store_.stat(id); }
  Result<Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    return store_.extent(id, form, offset, length);
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override { return store_.has(ids); }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override {
    TRY_DO(ask("touch"));
    auto touched = store_.touch(ids);
    ++touches;
    if (done) done();
    return touched;
  }
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override { return store_.list(after, limit); }
  Result<void> erase(std::span<const ChunkId> ids) override { return store_.erase(ids); }
  std::unique_ptr<WriteSession> begin_writes() override { return store_.begin_writes(); }
  Result<CollectionToken> begin_collection() override { return store_.begin_collection(); }
  Result<std::vector<bool>> collect(const CollectionToken& token, std::span<const ChunkId> ids) override {
    return store_.collect(token, ids);
  }
  void end_collection(const CollectionToken& token) override { store_.end_collection(token); }
  Result<Added> added_since(const Position& from) override { return store_.added_since(from); }
  Stats stats() const override { return store_.stats(); }

 private:
  Result<void> ask(const std::string& call) { return before ? before(call) : Result<void>(); }
  ChunkStore& store_;
};

/// Something that waits until it is opened.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  bool wait_for_waiting(int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kClusterPatience, [&] { return waiting_ >= n; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

/// No deadline of these passes while a test that is right goes on, however long the machine stands still meanwhile.
inline ClusterStoreOptions patient() {
  ClusterStoreOptions out;
  out.patience = out.replicator.patience = out.hedge.patience = out.hedge.hedge_first = std::chrono::hours(1);
  return out;
}

/// Nodes 1..n, each with a store on a simulated disk of its own, unless it is among `without`.
class TestCluster {
 public:
  struct Node {
    net::NodeId id;
    disk::SimDisk disk;
    uint64_t term = 0;
    std::unique_ptr<LocalStore> local;
    std::unique_ptr<FaultyStore> faulty;
    std::unique_ptr<net::Rpc> rpc;
    std::unique_ptr<ClusterStore> store;
    std::unique_ptr<net::Transport> transport;
    bool running() const { return store != nullptr; }
  };

  explicit TestCluster(uint64_t n, const ClusterStoreOptions& options = patient(), std::set<uint64_t> without = {})
      : options_(options), without_(std::move(without)) {
    for (uint64_t i = 1; i <= n; ++i) {
      nodes_[i] = std::make_unique<Node>();
      nodes_[i]->id = net::NodeId(i);
      if (!without_.contains(i)) stores_.push_back({.id = net::NodeId(i), .place = "s/r/h" + std::to_string(i)});
    }
    for (uint64_t i = 1; i <= n; ++i) start(i);
    connect();
  }
  ~TestCluster() {
    for (auto& [i, node] : nodes_) stop(i);
  }

  Node& operator[](uint64_t i) { return *nodes_.at(i); }
  ClusterStore& store(uint64_t i) { return *nodes_.at(i)->store; }
  size_t size() const { return nodes_.size(); }

  /// Opens what is durable, in a new term.
  void start(uint64_t i) {
    Node& node = *nodes_.at(i);
    ++node.term;
    if (!without_.contains(i)) {
      LocalStoreOptions local;
      local.directory = "/store";
      local.segment_bytes = 256u << 10;
      local.reserve_bytes = 0;
      node.local = LocalStore::open(node.disk, local, logger_).value();
      node.faulty = std::make_unique<FaultyStore>(*node.local);
      node.faulty->done = [this] {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
      };
    }
    ClusterStoreOptions options = options_;
    options.self = node.id;
    options.term = node.term;
    options.place = "s/r/h" + std::to_string(i);
    node.rpc = std::make_unique<net::Rpc>(net::RpcOptions{.workers = 4}, logger_);
    node.store = std::make_unique<ClusterStore>(options, node.faulty.get(), *node.rpc, logger_);
    node.rpc->watch([this, i](net::NodeId peer, bool up) {
      const std::lock_guard lock(mutex_);
      if (up) {
        up_.insert({i, peer.value});
      } else {
        up_.erase({i, peer.value});
      }
      changed_.notify_all();
    });
    ASSERT_TRUE(node.store->set_stores(stores_));
    if (node.store->sessions() != nullptr) {
      node.store->sessions()->set_writers({});
      for (auto& [other, each] : nodes_) node.store->sessions()->fence(net::NodeId(other), 1);
    }
    node.transport = network_->join(node.id, *node.rpc);
    node.rpc->start(*node.transport);
    std::vector<net::PeerAddress> peers;
    for (const auto& [other, each] : nodes_) peers.push_back({net::NodeId(other), "", 1});
    ASSERT_TRUE(node.transport->set_peers(peers));
  }
  void stop(uint64_t i) {
    Node& node = *nodes_.at(i);
    if (!node.running()) return;
    node.rpc->stop();
    node.transport->stop();
    node.store.reset();
    node.transport.reset();
    node.rpc.reset();
    node.faulty.reset();
    node.local.reset();
    const std::lock_guard lock(mutex_);
    std::erase_if(up_, [&](const auto& pair) { return pair.first == i; });
  }
  void restart(uint64_t i) {
    stop(i);
    start(i);
    connect();
  }
  /// The power fails: what was not synced is gone.
  void crash(uint64_t i) {
    Node& node = *nodes_.at(i);
    node.disk.crash();
    stop(i);
    node.disk.restart(disk::SimDisk::CrashMode::Drop, 1);
  }
  void cut(uint64_t a, uint64_t b) {
    network_->cut(net::NodeId(a), net::NodeId(b));
    wait([&] { return !up_.contains({a, b}) && !up_.contains({b, a}); });
  }
  void mend(uint64_t a, uint64_t b) {
    network_->mend(net::NodeId(a), net::NodeId(b));
    wait([&] { return up_.contains({a, b}) && up_.contains({b, a}); });
  }
  void cut_off(uint64_t i) {
    for (const auto& [other, node] : nodes_)
      if (other != i) cut(i, other);
  }
  /// Waits until all that run are connected.
  void connect() {
    wait([&] {
      for (const auto& [i, one] : nodes_)
        for (const auto& [j, other] : nodes_)
          if (i != j && one->running() && other->running() && !up_.contains({i, j})) return false;
      return true;
    });
  }
  void set_stores(std::vector<StoreInfo> stores) {
    stores_ = std::move(stores);
    for (auto& [i, node] : nodes_)
      if (node->running()) ASSERT_TRUE(node->store->set_stores(stores_));
  }
  const std::vector<StoreInfo>& stores() const { return stores_; }

  bool holds(uint64_t i, const ChunkId& id) { return nodes_.at(i)->local->has(std::span(&id, 1)).value()[0]; }
  size_t copies(const ChunkId& id) {
    size_t out = 0;
    for (auto& [i, node] : nodes_) out += node->local != nullptr && holds(i, id);
    return out;
  }
  /// Waits until that store was touched so often: a quorum is enough for who touches.
  bool wait_for_touches(uint64_t i, int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kClusterPatience, [&] { return nodes_.at(i)->faulty->touches >= n; });
  }
  /// Waits until so many stores have it.
  bool wait_for_copies(const ChunkId& id, size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kClusterPatience, [&] { return copies(id) >= n; });
  }

 private:
  void wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kClusterPatience, holds));
  }

  const ClusterStoreOptions options_;
  const std::set<uint64_t> without_;
  NullLogger logger_;
  std::shared_ptr<net::MemoryNetwork> network_ = net::MemoryNetwork::make();
  std::vector<StoreInfo> stores_;
  std::map<uint64_t, std::unique_ptr<Node>> nodes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::pair<uint64_t, uint64_t>> up_;
};

// ---- what tests do with one node ----

inline ChunkId put(ClusterStore& store, const Bytes& bytes, Compress compress = Compress::Never) {
  const auto id = store.put(bytes, compress);
  EXPECT_TRUE(id) << id.error().message;
  return id.value_or(ChunkId());
}

inline void expect_bytes(ClusterStore& store, const ChunkId& id, const Bytes& want) {
  const auto got = store.get(id);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(**got == want);
}

inline bool touch(ClusterStore& store, const ChunkId& id) {
  const auto present = store.touch(std::span(&id, 1));
  EXPECT_TRUE(present) << present.error().message;
  return present && present->at(0);
}

/// Bytes whose chunk has these targets, in that order.
inline Bytes bytes_for(const Placement& placement, const std::vector<uint64_t>& targets, size_t size = 3000) {
  for (uint64_t seed = 1;; ++seed) {
    Bytes bytes = noise(size, seed);
    std::vector<uint64_t> mine;
    for (const net::NodeId id : placement.targets(ChunkId(sha256(bytes)))) mine.push_back(id.value);
    if (mine.size() >= targets.size() && std::equal(targets.begin(), targets.end(), mine.begin())) return bytes;
  }
}

inline auto refuse(Code code, const std::string& what, const std::string& on) {
  return [=](const std::string& call) -> Result<void> {
    if (call == on) return fail(code, what);
    return {};
  };
}
inline auto hold(Gate& gate, const std::string& on) {
  return [&gate, on](const std::string& call) -> Result<void> {
    if (call == on) gate.wait();
    return {};
  };
}

}  // namespace hailstone::chunk
