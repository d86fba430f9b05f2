// One side of a structural comparison: goes over a tree in key order, opening subtrees only where asked to.
#pragma once

#include "tree/path.h"

namespace hailstone::tree {

/// Stands before a *unit*: a whole subtree not yet opened, or one item of an opened leaf.
class Walk {
 public:
  explicit Walk(NodeStore& store) : store_(store), path_(store) {}

  /// To the root, unopened (its node is loaded, for its level and first key). At the end when the map is empty.
  Result<void> start(const Root& root);

  bool at_end() const { return root_node_ == nullptr && path_.empty(); }
  bool at_item() const { return root_node_ == nullptr && path_.node().leaf(); }
  /// The subtree's, 0 for a leaf. Not at an item.
  unsigned level() const { return root_node_ != nullptr ? root_node_->level() : path_.level() - 1; }
  ChunkId id() const { return root_node_ != nullptr ? root_.id : path_.node().child(path_.index()); }
  /// The first key of the unit.
  SplitKey key() const {
    return root_node_ != nullptr ? root_node_->split_key(0) : path_.node().split_key(path_.index());
  }

  /// At an item.
  ByteView value() const { return path_.node().body(path_.index()); }
  uint64_t weight() const { return path_.node().item_totals(path_.index()).weight; }
  Bytes whole_key() const { return path_.node().key(path_.index()); }

  /// Into the subtree: its first child or item is the unit then.
  Result<void> open();
  /// Past the unit.
  void skip();
  /// The node opened last, while its first item or child is the unit.
  const Node& opened() const { return path_.node(); }

 private:
  NodeStore& store_;
  Root root_;
  NodePtr root_node_;  // set while the root itself is the unit
  Path path_;
};

/// Both at the same unopened subtree.
inline bool same_subtree(const Walk& a, const Walk& b) { return !a.at_item() && !b.at_item() && a.id() == b.id(); }

}  // namespace hailstone::tree
