// Feeds any bytes to the node decoder and uses what it accepts: as a node, and as the root of a tree.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tree/memory_nodes.h"
#include "tree/node.h"

using namespace hailstone;
using namespace hailstone::tree;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Every accessor agrees with the others, and the encoder makes the same bytes.
void use(const Node& node) {
  std::vector<Bytes> keys;
  std::vector<ItemView> items;
  for (size_t i = 0; i < node.size(); ++i) keys.push_back(node.key(i));
  Bytes last;
  for (size_t i = 0; i < node.size(); ++i) {
    require(i == 0 || last < keys[i]);
    last = keys[i];
    const Node::Place at = node.search(keys[i]);
    require(at.exact && at.index == i);
    require(!node.search(keys[i] + '\0').exact || (i + 1 < node.size() && keys[i + 1] == keys[i] + '\0'));
    require(compare(node.split_key(i), SplitKey{keys[i], {}}) == 0);
    items.push_back({keys[i], node.body(i), node.item_totals(i)});
  }
  const auto again = encode_node(node.level(), items);
  require(again && *again == node.raw());
}

/// A tree whose root is this node and whose children, if any, are this node too: walks must end, with or without
/// errors.
void walk(const NodePtr& node, const ChunkId& id) {
  MemoryNodes nodes;
  nodes.plant(id, node);
  for (size_t i = 0; !node->leaf() && i < node->size(); ++i) nodes.plant(node->child(i), node);
  const Root root{id};
  Cursor cursor(nodes, root);
  Bytes last;
  for (auto moved = cursor.next(); moved && cursor.valid(); moved = cursor.next()) {
    require(last < cursor.key());
    last = cursor.key();
    const auto found = lookup(nodes, root, last);
    require(found && *found && (*found)->value == cursor.value());
  }
  if (!node->leaf()) return;
  const std::vector<Edit> edits{{last, std::nullopt, 0}, {last + '!', "new", 1}};
  if (last.size() < kKeyBytesMax) {
    const auto changed = apply(nodes, root, edits);
    if (!changed) return;  // weights may sum past 2^64
    DiffCursor diff(nodes, root, *changed);
    size_t differences = 0;
    for (auto next = diff.next(); next && *next; next = diff.next()) ++differences;
    require(differences == 2);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::make_shared<const Bytes>(reinterpret_cast<const char*>(data), size);
  const ChunkId id(sha256(*bytes));
  const auto node = Node::decode(id, bytes);
  if (!node) return 0;
  use(**node);
  walk(*node, id);
  return 0;
}
