// Tree nodes over a chunk store, with a bounded cache of decoded ones.
#pragma once

#include <memory>

#include "chunk/store.h"
#include "tree/tree.h"

namespace hailstone::tree {

struct CacheOptions {
  uint64_t bytes_max = 256u << 20;  // decoded nodes kept, by their size in memory
  uint32_t shards = 16;             // power of two; each has its own lock and eviction (CLOCK)
};

/// Thread-safe. The chunk store outlives it.
class CachedNodes final : public NodeStore {
 public:
  CachedNodes(chunk::ChunkStore& chunks, const CacheOptions& options);
  ~CachedNodes() override;
  Result<NodePtr> load(const ChunkId& id) override;
  Result<ChunkId> save(Bytes encoded) override;

  struct Stats {
    uint64_t hits = 0, misses = 0, bytes = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hailstone::tree
