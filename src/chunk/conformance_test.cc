#include "chunk/conformance.h"

#include <filesystem>

#include "chunk/cluster_for_tests.h"
#include "chunk/local_store.h"
#include "disk/sim_disk.h"

namespace hailstone::chunk {
namespace {

class MemoryRig final : public Rig {
 public:
  ChunkStore& store() override { return *store_; }

 private:
  std::unique_ptr<ChunkStore> store_ = make_memory_store();
};

/// A local store with small segments, so that the suite crosses many of them.
class LocalRig : public Rig {
 public:
  LocalRig(std::unique_ptr<disk::Disk> disk, std::string directory,
           LocalStoreOptions::Load load = LocalStoreOptions::Load::AtOpen)
      : disk_(std::move(disk)), directory_(std::move(directory)), load_(load) {
    open();
  }
  ChunkStore& store() override { return *store_; }
  bool reopen() override {
    store_.reset();
    open();
    return true;
  }

 protected:
  void open() {
    LocalStoreOptions options;
    options.directory = directory_;
    options.segment_bytes = 256u << 10;
    options.reserve_bytes = 0;
    options.load = load_;
    store_ = LocalStore::open(*disk_, options, logger_).value();
  }

  std::unique_ptr<disk::Disk> disk_;
  std::string directory_;
  const LocalStoreOptions::Load load_;
  NullLogger logger_;
  std::unique_ptr<LocalStore> store_;
};

class KernelRig final : public LocalRig {
 public:
  KernelRig() : LocalRig(disk::make_real_disk(), fresh_directory()) {}
  ~KernelRig() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

 private:
  static std::string fresh_directory() {
    std::string pattern = testing::TempDir() + "chunk_XXXXXX";
    return mkdtemp(pattern.data());
  }
};

/// A cluster as its first node has it, with what each node does for itself done on all: collecting and erasing.
class Everyone final : public ChunkStore {
 public:
  explicit Everyone(TestCluster& cluster) : cluster_(cluster) {}
  Result<ChunkId> put(ByteView bytes, Compress compress) override { return first().put(bytes, compress); }
  Result<void> sync() override { return first().sync(); }
  Result<SharedBytes> get(const ChunkId& id) override { return first().get(id); }
  Result<Stat> stat(const ChunkId& id) override { return first().stat(id); }
  Result<Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    return first().extent(id, form, offset, length);
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override { return first().has(ids); }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return first().touch(ids); }
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override { return first().list(after, limit); }
  Result<void> erase(std::span<const ChunkId> ids) override {
    TRY_DO(first().sync());  // else what is still on its way to a store comes after
    for (const ChunkId& id : ids)
      if (first().get(id)) EXPECT_TRUE(cluster_.wait_for_copies(id, cluster_.size()));
    for (uint64_t i = 1; i <= cluster_.size(); ++i) TRY_DO(cluster_.store(i).erase(ids));
    return {};
  }
  std::unique_ptr<WriteSession> begin_writes() override { return first().begin_writes(); }
  Result<CollectionToken> begin_collection() override {
    first().tell_sessions();
    const std::lock_guard lock(mutex_);
    std::vector<CollectionToken> each;
    for (uint64_t i = 1; i <= cluster_.size(); ++i) {
      TRY(const auto token, cluster_.store(i).begin_collection());
      each.push_back(token);
    }
    tokens_[each[0].epoch] = each;
    return each[0];
  }
  Result<std::vector<bool>> collect(const CollectionToken& token, std::span<const ChunkId> ids) override {
    const std::lock_guard lock(mutex_);
    std::vector<bool> gone(ids.size(), true);
    for (uint64_t i = 1; i <= cluster_.size(); ++i) {
      TRY(const auto here, cluster_.store(i).collect(tokens_[token.epoch].at(i - 1), ids));
      for (size_t k = 0; k < ids.size(); ++k) gone[k] = gone[k] && here[k];
    }
    return gone;
  }
  void end_collection(const CollectionToken& token) override {
    const std::lock_guard lock(mutex_);
    for (uint64_t i = 1; i <= cluster_.size(); ++i) cluster_.store(i).end_collection(tokens_[token.epoch].at(i - 1));
  }
  Result<Added> added_since(const Position& from) override { return first().added_since(from); }
  Stats stats() const override { return cluster_.store(1).stats(); }

 private:
  ClusterStore& first() { return cluster_.store(1); }
  TestCluster& cluster_;
  std::mutex mutex_;
  std::map<uint64_t, std::vector<CollectionToken>> tokens_;
};

class ClusterRig final : public Rig {
 public:
  explicit ClusterRig(uint64_t nodes) : cluster_(nodes) {}
  ChunkStore& store() override { return everyone_; }
  bool reopen() override {
    EXPECT_TRUE(cluster_.store(1).sync());
    for (uint64_t i = 1; i <= cluster_.size(); ++i) cluster_.restart(i);
    return true;
  }

 private:
  TestCluster cluster_;
  Everyone everyone_{cluster_};
};

std::unique_ptr<Rig> simulated() { return std::make_unique<LocalRig>(std::make_unique<disk::SimDisk>(), "/store"); }
std::unique_ptr<Rig> loading_behind() {
  return std::make_unique<LocalRig>(std::make_unique<disk::SimDisk>(), "/store", LocalStoreOptions::Load::Behind);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(Backend{"memory", [] { return std::make_unique<MemoryRig>(); }},
                                         Backend{"kernel", [] { return std::make_unique<KernelRig>(); }},
                                         Backend{"simulated", simulated}, Backend{"loading_behind", loading_behind},
                                         Backend{"cluster_of_one", [] { return std::make_unique<ClusterRig>(1); }},
                                         Backend{"cluster_of_three", [] { return std::make_unique<ClusterRig>(3); }}),
                         backend_name);

}  // namespace
}  // namespace hailstone::chunk
