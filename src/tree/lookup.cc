#include "tree/path.h"
#include "tree/tree.h"

namespace hailstone::tree {

Result<Totals> totals(NodeStore& store, const Root& root) {
  if (root.empty()) return Totals{};
  TRY(const NodePtr node, load_root(store, root));
  return node->totals();
}

Result<std::optional<FoundView>> lookup_view(NodeStore& store, const Root& root, ByteView key) {
  if (root.empty()) return std::nullopt;
  TRY(NodePtr node, load_root(store, root));
  for (;;) {
    const Node::Place at = node->search(key);
    if (node->leaf()) {
      if (!at.exact) return std::nullopt;
      const Node::LeafItem item = node->leaf_item(at.index);
      return FoundView{std::move(node), item.value, item.weight};
    }
    if (!at.exact && at.index == 0) return std::nullopt;  // before the first key
    TRY(NodePtr child, load_child(store, *node, at.exact ? at.index : at.index - 1));
    node = std::move(child);
  }
}

Result<std::optional<Found>> lookup(NodeStore& store, const Root& root, ByteView key) {
  TRY(const std::optional<FoundView> found, lookup_view(store, root, key));
  if (!found) return std::nullopt;
  return Found{Bytes(found->value), found->weight};
}

std::optional<Bytes> prefix_successor(ByteView prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.remove_suffix(1);
  if (prefix.empty()) return std::nullopt;
  Bytes out(prefix);
  out.back() = static_cast<char>(static_cast<unsigned char>(out.back()) + 1);
  return out;
}

}  // namespace hailstone::tree
