#include "chunk/conformance.h"

#include <filesystem>

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
  LocalRig(std::unique_ptr<disk::Disk> disk, std::string directory)
      : disk_(std::move(disk)), directory_(std::move(directory)) {
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
    store_ = LocalStore::open(*disk_, options, logger_).value();
  }

  std::unique_ptr<disk::Disk> disk_;
  std::string directory_;
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

std::unique_ptr<Rig> simulated() { return std::make_unique<LocalRig>(std::make_unique<disk::SimDisk>(), "/store"); }

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(Backend{"memory", [] { return std::make_unique<MemoryRig>(); }},
                                         Backend{"kernel", [] { return std::make_unique<KernelRig>(); }},
                                         Backend{"simulated", simulated}),
                         backend_name);

}  // namespace
}  // namespace hailstone::chunk
