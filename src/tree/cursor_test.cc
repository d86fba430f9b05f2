#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

/// A key of the pool, or near one, or anything.
Bytes probe_key(const std::pair<size_t, int>& choice) {
  const Bytes& key = pool()[choice.first];
  switch (choice.second) {
    case 0: return key;
    case 1: return key + Bytes(1, '\0');
    case 2: return key.substr(0, key.size() - 1);
    case 3: return key.substr(0, 5);
    case 4: return "";
    default: return "\xff";
  }
}

std::string difference(const Cursor& cursor, const Model& model, Model::const_iterator at) {
  if (cursor.valid() != (at != model.end())) return "end";
  if (!cursor.valid()) return {};
  const bool same =
      cursor.key() == at->first && cursor.value() == at->second.value && cursor.weight() == at->second.weight;
  return same ? "" : "item " + Bytes(cursor.key()) + " is not " + at->first;
}

TEST(Cursor, SeeksAndStepsLikeAMap) {
  check_property(2000, [] {
    MemoryNodes nodes;
    Model model;
    apply_to(model, edits_of(*any_sweeps()));
    Cursor cursor(nodes, build(nodes, model));
    auto at = model.end();
    bool before = true;
    const auto moves = *rc::gen::container<std::vector<std::pair<std::pair<size_t, int>, int>>>(rc::gen::pair(
        rc::gen::pair(rc::gen::inRange<size_t>(0, pool().size()), rc::gen::inRange(0, 6)), rc::gen::inRange(0, 100)));
    for (const auto& [choice, steps] : moves) {
      if (choice.second != 5 || !before) {
        const Bytes key = probe_key(choice);
        must(cursor.seek(key));
        at = model.lower_bound(key);
      } else {
        must(cursor.next());
        at = model.begin();
      }
      before = false;
      RC_ASSERT(difference(cursor, model, at) == "");
      for (int i = 0; i < steps && at != model.end(); ++i) {
        must(cursor.next());
        ++at;
        RC_ASSERT(difference(cursor, model, at) == "");
      }
    }
  });
}

TEST(Cursor, StaysAtTheEnd) {
  MemoryNodes nodes;
  Cursor cursor(nodes, build(nodes, {{"a", {"1", 1}}}));
  EXPECT_FALSE(cursor.valid());
  must(cursor.next());
  EXPECT_TRUE(cursor.valid());
  for (int i = 0; i < 3; ++i) {
    must(cursor.next());
    EXPECT_FALSE(cursor.valid());
  }
  must(cursor.seek(""));
  EXPECT_TRUE(cursor.valid());
}

TEST(Cursor, GoesOnAfterAFailedLoad) {
  MemoryNodes nodes;
  Model model;
  apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
  const Root root = build(nodes, model);
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  const NodePtr gone = tree[0][1];
  const ChunkId id(sha256(gone->raw()));
  nodes.erase(id);
  Cursor cursor(nodes, root);
  const auto missing = cursor.seek(gone->key(0));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_FALSE(cursor.valid());
  must(cursor.seek(tree[0][2]->key(0)));
  EXPECT_EQ(cursor.key(), tree[0][2]->key(0));
  nodes.plant(id, gone);
  must(cursor.seek(gone->key(0)));
  EXPECT_EQ(cursor.key(), gone->key(0));
}

TEST(Cursor, ReadsTheNextKeyOfALeafWithoutALoad) {
  MemoryNodes nodes;
  Model model;
  apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
  const Root root = build(nodes, model);
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  const NodePtr leaf = tree[0][3];
  Cursor cursor(nodes, root);
  must(cursor.seek(leaf->key(0)));
  nodes.reset_counts();
  for (size_t i = 0; i + 1 < leaf->size(); ++i) {
    must(cursor.seek(leaf->key(i)));
    must(cursor.next());
    EXPECT_EQ(cursor.key(), leaf->key(i + 1));
  }
  EXPECT_EQ(nodes.counts().loads, 0u);
}

TEST(Lookup, FindsWhatAMapFinds) {
  check_property(1000, [] {
    MemoryNodes nodes;
    Model model;
    apply_to(model, edits_of(*any_sweeps()));
    const Root root = build(nodes, model);
    for (size_t i = 0; i < pool().size(); i += 1 + i % 5) {
      for (int near = 0; near < 3; ++near) {
        const Bytes key = probe_key({i, near});
        const auto found = must(lookup(nodes, root, key));
        const auto it = model.find(key);
        RC_ASSERT(found.has_value() == (it != model.end()));
        if (found) RC_ASSERT((Value{found->value, found->weight} == it->second));
      }
    }
  });
}

TEST(Lookup, ViewsOutliveTheStore) {
  auto nodes = std::make_unique<MemoryNodes>();
  const Root root = build(*nodes, {{"a", {"value", 7}}});
  const auto found = must(lookup_view(*nodes, root, "a"));
  nodes.reset();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->value, "value");
  EXPECT_EQ(found->weight, 7u);
}

TEST(PrefixSuccessor, IsTheFirstKeyBehindThePrefix) {
  EXPECT_EQ(prefix_successor("dir/"), "dir0");
  EXPECT_EQ(prefix_successor("a\xff\xff"), "b");
  EXPECT_EQ(prefix_successor(ByteView("a\0", 2)), "a\x01");
  EXPECT_EQ(prefix_successor("\x7f"), "\x80");
  EXPECT_EQ(prefix_successor("\xff\xff"), std::nullopt);
  EXPECT_EQ(prefix_successor(""), std::nullopt);
}

}  // namespace
}  // namespace hailstone::tree
