// Applies edits to one level of a tree and gives out the edits that follow for the level above. apply() stacks these.
#pragma once

#include <deque>
#include <optional>

#include "tree/path.h"
#include "tree/splitter.h"

namespace hailstone::tree {

/// One change of one level's items: a new or other item, or (without body) none at this key.
struct LevelEdit {
  Bytes key;
  std::optional<Bytes> body;  // as ItemView::body
  Totals totals;
};

/// Sorted by key, no duplicates. Nothing at the end.
class LevelSource {
 public:
  virtual ~LevelSource() = default;
  virtual Result<std::optional<LevelEdit>> next() = 0;
};

/// The nodes of one level of an existing tree, in order.
class OldNodes {
 public:
  /// `root` null: there are none.
  OldNodes(NodeStore& store, const Root& root, NodePtr root_node, unsigned level);

  /// To the node that would hold `key`.
  Result<void> seek(ByteView key);
  bool valid() const { return valid_; }
  Result<void> next();
  /// False at the first, and stays there.
  Result<bool> prev();
  Bytes start() const;
  ChunkId id() const;
  Result<NodePtr> load();

 private:
  bool is_root_level() const { return root_node_->level() == level_; }

  const Root root_;
  const NodePtr root_node_;
  const unsigned level_;
  Path path_;  // ends in a node of level_ + 1; unused at the root's level
  bool valid_ = false;
};

/// Invariant: works in *regions*, each from a node start that the edits cannot move to the first one behind them
/// where old and new cuts meet; from there on all is as it was, since a cut depends on what follows the one before it
/// alone. Nodes outside regions are neither read nor given out.
class LevelEditor final : public LevelSource {
 public:
  /// What to give out: the changes to an old level above, or (there is none) every node of this level.
  enum class Above { Changes, EveryNode };
  LevelEditor(unsigned level, const Shape& shape, LevelSource& edits, NodeStore& store, OldNodes old, Above above)
      : level_(level),
        shape_(shape),
        edits_(edits),
        store_(store),
        old_(std::move(old)),
        above_(above),
        splitter_(level, shape) {}

  Result<std::optional<LevelEdit>> next() override;
  /// Some edit came, so with Above::EveryNode next() has told the whole level.
  bool touched() const { return touched_; }

 private:
  struct OldNode {
    Bytes start;
    ChunkId id;
    NodePtr node;  // to compare a new node with; null when that is not likely to pay
  };

  Result<void> peek();
  /// Whether the next edit takes away the item of this key.
  bool edit_removes(ByteView key) const { return edit_ && !edit_->body && edit_->key == key; }
  /// Whether the region may end before the level does: it has served its edit, and old nodes behind it need no telling.
  bool may_end_early() const { return last_edit_.has_value() && above_ == Above::Changes; }
  Result<void> begin_region();
  Result<void> end_region(ByteView start);
  Result<void> step_region();
  Result<void> step_between_nodes();
  Result<void> step_in_node();
  Result<void> take_edit();
  Result<void> push(const ItemView& item);
  Result<void> give_out(Splitter::Built built);
  Result<void> cut();
  void remove_old_before(std::optional<ByteView> start);

  const unsigned level_;
  const Shape shape_;
  LevelSource& edits_;
  NodeStore& store_;
  OldNodes old_;
  const Above above_;
  Splitter splitter_;

  std::optional<LevelEdit> edit_;  // the next edit, once peeked
  bool no_more_edits_ = false;
  bool touched_ = false;

  bool in_region_ = false;
  std::optional<Bytes> last_edit_;  // key of the region's last edit so far
  Bytes floor_;                     // the last region ended here: no later one starts before it
  NodePtr node_;                    // the old node whose items are being read, or null between nodes
  size_t index_ = 0;
  Bytes key_;                 // of node_'s item index_
  std::deque<OldNode> read_;  // old nodes of this region not yet matched with new ones
  std::deque<LevelEdit> out_;
};

/// apply_stream() with other shapes: what tests make deep trees of few keys with. Shapes within kShapes' maxima.
Result<Root> apply_shaped(NodeStore& store, const Root& root, const std::function<Result<std::optional<Edit>>()>& pull,
                          const Shapes& shapes);

}  // namespace hailstone::tree
