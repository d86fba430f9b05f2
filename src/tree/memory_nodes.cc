#include "tree/memory_nodes.h"

#include <fmt/format.h>

namespace hailstone::tree {

Result<NodePtr> MemoryNodes::load(const ChunkId& id) {
  const std::lock_guard lock(mutex_);
  ++counts_.loads;
  const auto it = nodes_.find(id);
  if (it == nodes_.end()) return fail(Code::NotFound, fmt::format("tree node {}: not in memory", id.brief()));
  return it->second;
}

Result<ChunkId> MemoryNodes::save(Bytes encoded) {
  const ChunkId id(sha256(encoded));
  auto node = Node::decode(id, std::make_shared<const Bytes>(std::move(encoded)));
  if (!node) return fail(Code::Invalid, std::move(node).error().message);
  plant(id, std::move(*node));
  const std::lock_guard lock(mutex_);
  ++counts_.saves;
  return id;
}

MemoryNodes::Counts MemoryNodes::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void MemoryNodes::reset_counts() {
  const std::lock_guard lock(mutex_);
  counts_ = {};
}

void MemoryNodes::plant(const ChunkId& id, NodePtr node) {
  const std::lock_guard lock(mutex_);
  nodes_.insert_or_assign(id, std::move(node));
}

void MemoryNodes::erase(const ChunkId& id) {
  const std::lock_guard lock(mutex_);
  nodes_.erase(id);
}

size_t MemoryNodes::size() const {
  const std::lock_guard lock(mutex_);
  return nodes_.size();
}

}  // namespace hailstone::tree
