#include <fmt/format.h>

#include <array>

#include "base/check.h"
#include "tree/level_editor.h"
#include "tree/tree.h"

namespace hailstone::tree {
namespace {

/// The nodes that one apply() touched last: neighbouring levels' editors ask for the same ones.
class RecentNodes final : public NodeStore {
 public:
  explicit RecentNodes(NodeStore& store) : store_(store) {}
  Result<NodePtr> load(const ChunkId& id) override {
    Slot& slot = slots_[id.bytes[0] % slots_.size()];
    if (slot.node != nullptr && slot.id == id) return slot.node;
    TRY(NodePtr node, store_.load(id));
    slot = {id, node};
    return node;
  }
  Result<ChunkId> save(Bytes encoded) override { return store_.save(std::move(encoded)); }

 private:
  struct Slot {
    ChunkId id;
    NodePtr node;
  };
  NodeStore& store_;
  std::array<Slot, 32> slots_;
};

/// The caller's edits as those of level 0.
class LeafEdits final : public LevelSource {
 public:
  explicit LeafEdits(const std::function<Result<std::optional<Edit>>()>& pull) : pull_(pull) {}
  Result<std::optional<LevelEdit>> next() override {
    TRY(std::optional<Edit> edit, pull_());
    if (!edit) return std::nullopt;
    CHECK(last_ < edit->key || last_.empty());
    if (edit->key.empty() || edit->key.size() > kKeyBytesMax) {
      return fail(Code::Invalid, fmt::format("tree: key of {} bytes (1..{}): {}", edit->key.size(), kKeyBytesMax,
                                             printable(edit->key)));
    }
    if (edit->value && edit->value->size() > kValueBytesMax) {
      return fail(Code::Invalid, fmt::format("tree: value of {} bytes (at most {}) of key {}", edit->value->size(),
                                             kValueBytesMax, printable(edit->key)));
    }
    last_ = edit->key;
    return LevelEdit{std::move(edit->key), std::move(edit->value), {1, edit->weight}};
  }

 private:
  const std::function<Result<std::optional<Edit>>()>& pull_;
  Bytes last_;
};

/// `first`, `second`, then the insertions among `rest`: a level whose old nodes are all replaced.
class Resumed final : public LevelSource {
 public:
  Resumed(LevelEdit first, LevelEdit second, LevelSource& rest) : rest_(rest) {
    ahead_[0] = std::move(first);
    ahead_[1] = std::move(second);
  }
  Result<std::optional<LevelEdit>> next() override {
    if (given_ < ahead_.size()) return std::move(ahead_[given_++]);
    return rest_.next();
  }

 private:
  std::array<std::optional<LevelEdit>, 2> ahead_;
  size_t given_ = 0;
  LevelSource& rest_;
};

/// The root is the lowest level's node that is alone on its level.
Result<Root> lowest_alone(NodeStore& store, ChunkId id) {
  for (;;) {
    TRY(const NodePtr node, store.load(id));
    if (node->leaf() || node->size() > 1) return Root{id};
    id = node->child(0);
  }
}

}  // namespace

Result<Root> apply_shaped(NodeStore& caller_store, const Root& root,
                          const std::function<Result<std::optional<Edit>>()>& pull, const Shapes& shapes) {
  RecentNodes store(caller_store);
  NodePtr old_root;
  if (!root.empty()) {
    TRY(old_root, load_root(store, root));
  }
  std::vector<std::unique_ptr<LevelSource>> stack;
  stack.push_back(std::make_unique<LeafEdits>(pull));
  const unsigned old_top = old_root == nullptr ? 0 : old_root->level();
  unsigned level = 0;
  for (;; ++level) {
    const auto above = level == old_top ? LevelEditor::Above::EveryNode : LevelEditor::Above::Changes;
    auto editor = std::make_unique<LevelEditor>(level, shapes.at(level), *stack.back(), store,
                                                OldNodes(store, root, old_root, level), above);
    const LevelEditor& top = *editor;
    stack.push_back(std::move(editor));
    if (level < old_top) continue;
    TRY(std::optional<LevelEdit> first, stack.back()->next());
    if (!first) return top.touched() ? Root{} : root;
    TRY(std::optional<LevelEdit> second, stack.back()->next());
    if (!second) return lowest_alone(store, ChunkId(Hash256::from_view(*first->body)));
    stack.push_back(std::make_unique<Resumed>(std::move(*first), std::move(*second), *stack.back()));
    break;
  }
  // Taller than before: levels above have no old nodes.
  for (++level;; ++level) {
    CHECK(level <= kLevelMax);
    stack.push_back(std::make_unique<LevelEditor>(level, shapes.at(level), *stack.back(), store,
                                                  OldNodes(store, {}, nullptr, level), LevelEditor::Above::EveryNode));
    TRY(std::optional<LevelEdit> first, stack.back()->next());
    TRY(std::optional<LevelEdit> second, stack.back()->next());
    if (!second) return Root{ChunkId(Hash256::from_view(*first->body))};
    stack.push_back(std::make_unique<Resumed>(std::move(*first), std::move(*second), *stack.back()));
  }
}

Result<Root> apply_stream(NodeStore& store, const Root& root,
                          const std::function<Result<std::optional<Edit>>()>& pull) {
  return apply_shaped(store, root, pull, kShapes);
}

Result<Root> apply(NodeStore& store, const Root& root, std::span<const Edit> edits) {
  size_t i = 0;
  return apply_stream(store, root, [&]() -> Result<std::optional<Edit>> {
    if (i == edits.size()) return std::nullopt;
    return edits[i++];
  });
}

}  // namespace hailstone::tree
