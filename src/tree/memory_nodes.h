// A NodeStore in memory that counts, for tests and simulation: nodes stay decoded, nothing is ever dropped by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tree/node.h"

namespace hailstone::tree {

/// Thread-safe.
class MemoryNodes final : public NodeStore {
 public:
  Result<NodePtr> load(const ChunkId& id) override;
  /// Invalid when the bytes are not a node.
  Result<ChunkId> save(Bytes encoded) override;

  /// Calls since the last reset_counts().
  struct Counts {
    uint64_t loads = 0;
    uint64_t saves = 0;
  };
  Counts counts() const;
  void reset_counts();

  /// Puts a node under a name of the caller's choice: how tests make damage.
  void plant(const ChunkId& id, NodePtr node);
  void erase(const ChunkId& id);
  size_t size() const;

 private:
  // NodeStore promises thread safety, and tests share one store between threads.
  mutable std::mutex mutex_;
  std::unordered_map<ChunkId, NodePtr> nodes_;
  Counts counts_;
};

}  // namespace hailstone::tree
