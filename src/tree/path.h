// A place in a tree: the nodes from the root downward, each with an index. Loads children and checks them against
// parents.
#pragma once

#include <vector>

#include "tree/node.h"

namespace hailstone::tree {

class Path {
 public:
  explicit Path(NodeStore& store) : store_(&store) {}

  /// Starts over at item 0 of `root`.
  void enter(NodePtr root) {
    frames_.clear();
    frames_.push_back({std::move(root), 0});
  }
  void clear() { frames_.clear(); }
  /// Nothing below is defined while empty.
  bool empty() const { return frames_.empty(); }
  const Node& node() const { return *frames_.back().node; }
  const NodePtr& node_ptr() const { return frames_.back().node; }
  unsigned level() const { return node().level(); }
  size_t index() const { return frames_.back().index; }
  void set_index(size_t index) { frames_.back().index = index; }

  /// Into the child at the index (the node is not a leaf), at its item 0. Corrupt when the child is not what the parent
  /// states or reaches into the key range of the next subtree: so whatever walks by Path sees strictly ascending keys.
  Result<void> descend();
  /// To the next item, leaving nodes that end; false (and empty) at the end of the tree. Does not descend.
  bool step();
  /// To the item before, leaving nodes that begin; false (and empty) at the begin of the tree. Does not descend.
  bool step_back();

  /// Down to a node of `level`, whose item is that of Node::child_index(key), as all above are. Keeps what fits
  /// already.
  Result<void> seek(ByteView key, unsigned level);
  /// Down to a node of `level` along the first items.
  Result<void> descend_first(unsigned level);
  /// Down to a node of `level` along the last items.
  Result<void> descend_last(unsigned level);

  /// The first key after the subtree at the current item; false when it is the tree's last.
  bool next_key(Bytes& out) const;

 private:
  struct Frame {
    NodePtr node;
    size_t index;
  };
  NodeStore* store_;
  std::vector<Frame> frames_;
};

/// The root's node, or Corrupt. Not for the empty root.
Result<NodePtr> load_root(NodeStore& store, const Root& root);
/// A child, checked for its level alone: what a lookup needs to end.
Result<NodePtr> load_child(NodeStore& store, const Node& parent, size_t index);

}  // namespace hailstone::tree
