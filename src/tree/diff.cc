#include "tree/tree.h"
#include "tree/walk.h"

namespace hailstone::tree {

struct DiffCursor::State {
  State(NodeStore& store, const Root& left, const Root& right)
      : left_root(left), right_root(right), left(store), right(store) {}

  Root left_root, right_root;
  Walk left, right;
  bool started = false;

  Result<void> start() {
    if (started) return {};
    if (left_root != right_root) {
      TRY_DO(left.start(left_root));
      TRY_DO(right.start(right_root));
    }
    started = true;
    return {};
  }

  Difference take_left() {
    Difference out{left.whole_key(), Bytes(left.value()), std::nullopt, left.weight(), 0};
    left.skip();
    return out;
  }
  Difference take_right() {
    Difference out{right.whole_key(), std::nullopt, Bytes(right.value()), 0, right.weight()};
    right.skip();
    return out;
  }
  /// Both at an item of the same key.
  std::optional<Difference> take_both() {
    std::optional<Difference> out;
    if (left.weight() != right.weight() || left.value() != right.value()) {
      out = {left.whole_key(), Bytes(left.value()), Bytes(right.value()), left.weight(), right.weight()};
    }
    left.skip();
    right.skip();
    return out;
  }
};

DiffCursor::DiffCursor(NodeStore& store, const Root& left, const Root& right)
    : state_(std::make_unique<State>(store, left, right)) {}
DiffCursor::~DiffCursor() = default;
DiffCursor::DiffCursor(DiffCursor&&) noexcept = default;
DiffCursor& DiffCursor::operator=(DiffCursor&&) noexcept = default;

// A subtree that both trees have starts at the same key and level in both. The side that is behind moves first, and of
// two subtrees that start together the higher one is opened first: so both sides come to stand before a common subtree
// at the same time, and skip it unopened.
Result<std::optional<Difference>> DiffCursor::next() {
  State& s = *state_;
  TRY_DO(s.start());
  for (;;) {
    if (s.left.at_end() && s.right.at_end()) return std::nullopt;
    auto order = std::strong_ordering::equal;
    if (s.left.at_end()) {
      order = std::strong_ordering::greater;
    } else if (s.right.at_end()) {
      order = std::strong_ordering::less;
    } else if (same_subtree(s.left, s.right)) {
      s.left.skip();
      s.right.skip();
      continue;
    } else {
      order = compare(s.left.key(), s.right.key());
    }
    if (order < 0) {
      if (s.left.at_item()) return s.take_left();
      TRY_DO(s.left.open());
    } else if (order > 0) {
      if (s.right.at_item()) return s.take_right();
      TRY_DO(s.right.open());
    } else if (s.left.at_item() && s.right.at_item()) {
      if (std::optional<Difference> found = s.take_both()) return found;
    } else {
      const int left_level = s.left.at_item() ? -1 : static_cast<int>(s.left.level());
      const int right_level = s.right.at_item() ? -1 : static_cast<int>(s.right.level());
      if (left_level >= right_level) TRY_DO(s.left.open());
      if (right_level >= left_level) TRY_DO(s.right.open());
    }
  }
}

namespace {

Result<void> visit_leaf(const Node& leaf, const std::function<Result<void>(ByteView, ByteView)>& visit_value) {
  Bytes key;
  for (size_t i = 0; i < leaf.size(); ++i) {
    leaf.key(i, key);
    TRY_DO(visit_value(key, leaf.body(i)));
  }
  return {};
}

}  // namespace

// As DiffCursor::next, but leaves stay whole, and only the right side reports.
Result<void> for_each_new_node(NodeStore& store, const Root& known, const Root& root,
                               const std::function<Result<void>(const ChunkId&)>& visit_node,
                               const std::function<Result<void>(ByteView key, ByteView value)>& visit_value) {
  if (root.empty() || root == known) return {};
  TRY_DO(visit_node(root.id));
  Walk old(store), now(store);
  TRY_DO(now.start(root));
  TRY_DO(old.start(known));
  bool at_root = true;
  while (!now.at_end()) {
    if (!at_root && !old.at_end() && same_subtree(old, now)) {
      old.skip();
      now.skip();
      continue;
    }
    const auto order = old.at_end() ? std::strong_ordering::greater : compare(old.key(), now.key());
    const bool together = order == 0 && old.level() == now.level();
    if (order < 0 || together || (order == 0 && old.level() > now.level())) {
      if (old.level() == 0) {
        old.skip();
      } else {
        TRY_DO(old.open());
      }
      if (!together) continue;
    }
    if (!at_root) TRY_DO(visit_node(now.id()));
    at_root = false;
    if (now.level() > 0) {
      TRY_DO(now.open());
    } else if (visit_value) {
      Walk leaf = now;
      TRY_DO(leaf.open());
      TRY_DO(visit_leaf(leaf.opened(), visit_value));
      now.skip();
    } else {
      now.skip();
    }
  }
  return {};
}

}  // namespace hailstone::tree
