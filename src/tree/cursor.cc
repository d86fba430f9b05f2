#include "base/check.h"
#include "tree/path.h"
#include "tree/tree.h"

namespace hailstone::tree {

struct Cursor::State {
  State(NodeStore& nodes, const Root& map) : store(nodes), root(map), path(nodes) {}

  NodeStore& store;
  const Root root;
  Path path;  // down to a leaf when `place` is At
  NodePtr root_node;
  enum class Place { Before, At, End } place = Place::Before;
  Bytes key;  // of the current item; its first `prefix_bytes` are the leaf's prefix
  size_t prefix_bytes = 0;

  /// A path at the root; false when the map is empty.
  Result<bool> open() {
    if (root.empty()) return false;
    if (root_node == nullptr) {
      TRY(NodePtr node, load_root(store, root));
      root_node = std::move(node);
    }
    if (path.empty()) path.enter(root_node);
    return true;
  }
  void arrive_in_leaf() {
    key.assign(path.node().prefix());
    prefix_bytes = key.size();
    arrive();
  }
  void arrive() {
    key.resize(prefix_bytes);
    key.append(path.node().suffix(path.index()));
    place = Place::At;
  }
  Result<void> step_to_next_leaf() {
    if (!path.step()) {
      place = Place::End;
      return {};
    }
    TRY_DO(path.descend_first(0));
    arrive_in_leaf();
    return {};
  }
};

Cursor::Cursor(NodeStore& store, const Root& root) : state_(std::make_unique<State>(store, root)) {}
Cursor::~Cursor() = default;
Cursor::Cursor(Cursor&&) noexcept = default;
Cursor& Cursor::operator=(Cursor&&) noexcept = default;

Result<void> Cursor::seek(ByteView key) {
  State& s = *state_;
  s.place = State::Place::End;  // also where an error leaves it
  TRY(const bool any, s.open());
  if (!any) return {};
  if (auto sought = s.path.seek(key, 0); !sought) {
    s.path.clear();
    return sought;
  }
  // Every earlier leaf holds smaller keys only; in this one the item may still be past the end.
  const size_t index = s.path.node().search(key).index;
  if (index < s.path.node().size()) {
    s.path.set_index(index);
    s.arrive_in_leaf();
    return {};
  }
  return s.step_to_next_leaf();
}

Result<void> Cursor::next() {
  State& s = *state_;
  if (s.place == State::Place::End) return {};
  if (s.place == State::Place::Before) {
    s.place = State::Place::End;
    TRY(const bool any, s.open());
    if (!any) return {};
    TRY_DO(s.path.descend_first(0));
    s.arrive_in_leaf();
    return {};
  }
  if (s.path.index() + 1 < s.path.node().size()) {
    s.path.set_index(s.path.index() + 1);
    s.arrive();
    return {};
  }
  s.place = State::Place::End;
  return s.step_to_next_leaf();
}

bool Cursor::valid() const { return state_->place == State::Place::At; }

ByteView Cursor::key() const {
  CHECK(valid());
  return state_->key;
}
ByteView Cursor::value() const {
  CHECK(valid());
  return state_->path.node().body(state_->path.index());
}
uint64_t Cursor::weight() const {
  CHECK(valid());
  return state_->path.node().item_totals(state_->path.index()).weight;
}

}  // namespace hailstone::tree
