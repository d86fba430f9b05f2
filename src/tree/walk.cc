#include "tree/walk.h"

namespace hailstone::tree {

Result<void> Walk::start(const Root& root) {
  root_ = root;
  path_.clear();
  root_node_ = nullptr;
  if (root.empty()) return {};
  TRY(root_node_, load_root(store_, root));
  return {};
}

Result<void> Walk::open() {
  if (root_node_ == nullptr) return path_.descend();
  path_.enter(std::move(root_node_));
  root_node_ = nullptr;
  return {};
}

void Walk::skip() {
  if (root_node_ != nullptr) {
    root_node_ = nullptr;
  } else {
    path_.step();
  }
}

}  // namespace hailstone::tree
