#include "tree/path.h"

#include <fmt/format.h>

#include "base/check.h"

namespace hailstone::tree {

Result<NodePtr> load_root(NodeStore& store, const Root& root) {
  CHECK(!root.empty());
  return store.load(root.id);
}

Result<NodePtr> load_child(NodeStore& store, const Node& parent, size_t index) {
  const ChunkId id = parent.child(index);
  TRY(NodePtr child, store.load(id));
  if (child->level() + 1 != parent.level()) {
    return fail(Code::Corrupt,
                fmt::format("tree node {}: level {} below level {}", id.brief(), child->level(), parent.level()));
  }
  return child;
}

Result<void> Path::descend() {
  const Frame& above = frames_.back();
  TRY(NodePtr child, load_child(*store_, *above.node, above.index));
  const char* problem = nullptr;
  if (child->totals() != above.node->item_totals(above.index)) {
    problem = "totals are not those its parent states";
  } else if (compare(child->split_key(0), above.node->split_key(above.index)) != 0) {
    problem = "first key is not the one its parent states";
  } else {
    for (size_t i = frames_.size(); i-- > 0;) {
      const Frame& frame = frames_[i];
      if (frame.index + 1 == frame.node->size()) continue;
      if (compare(child->split_key(child->size() - 1), frame.node->split_key(frame.index + 1)) >= 0) {
        problem = "last key reaches into the next node";
      }
      break;
    }
  }
  if (problem != nullptr) {
    return fail(Code::Corrupt, fmt::format("tree node {}: {}", above.node->child(above.index).brief(), problem));
  }
  frames_.push_back({std::move(child), 0});
  return {};
}

bool Path::step() {
  while (!frames_.empty()) {
    if (++frames_.back().index < frames_.back().node->size()) return true;
    frames_.pop_back();
  }
  return false;
}

bool Path::step_back() {
  while (!frames_.empty()) {
    if (frames_.back().index-- > 0) return true;
    frames_.pop_back();
  }
  return false;
}

Result<void> Path::seek(ByteView key, unsigned level) {
  size_t depth = 0;
  for (;; ++depth) {
    Frame& frame = frames_[depth];
    const size_t index = frame.node->child_index(key);
    const bool same = frame.index == index;
    frame.index = index;
    if (frame.node->level() == level) {
      frames_.resize(depth + 1);
      return {};
    }
    if (same && depth + 1 < frames_.size()) continue;
    frames_.resize(depth + 1);
    TRY_DO(descend());
  }
}

Result<void> Path::descend_first(unsigned level) {
  while (this->level() > level) TRY_DO(descend());
  return {};
}

Result<void> Path::descend_last(unsigned level) {
  while (this->level() > level) {
    TRY_DO(descend());
    frames_.back().index = node().size() - 1;
  }
  return {};
}

bool Path::next_key(Bytes& out) const {
  for (size_t i = frames_.size(); i-- > 0;) {
    const Frame& frame = frames_[i];
    if (frame.index + 1 == frame.node->size()) continue;
    frame.node->key(frame.index + 1, out);
    return true;
  }
  return false;
}

}  // namespace hailstone::tree
