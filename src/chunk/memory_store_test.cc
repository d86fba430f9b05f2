#include "chunk/conformance.h"

namespace hailstone::chunk {
namespace {

class MemoryRig final : public Rig {
 public:
  ChunkStore& store() override { return *store_; }

 private:
  std::unique_ptr<ChunkStore> store_ = make_memory_store();
};

INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance,
                         testing::Values(Backend{"memory", [] { return std::make_unique<MemoryRig>(); }}),
                         backend_name);

}  // namespace
}  // namespace hailstone::chunk
