#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

std::vector<Difference> model_diff(const Model& left, const Model& right) {
  std::map<Bytes, Difference> out;
  for (const auto& [key, value] : left) out[key] = {key, value.value, std::nullopt, value.weight, 0};
  for (const auto& [key, value] : right) {
    Difference& d = out.try_emplace(key, Difference{key, std::nullopt, std::nullopt, 0, 0}).first->second;
    d.right = value.value;
    d.right_weight = value.weight;
    if (d.left == d.right && d.left_weight == d.right_weight) out.erase(key);
  }
  std::vector<Difference> list;
  for (auto& [key, d] : out) list.push_back(std::move(d));
  return list;
}

std::vector<Difference> tree_diff(NodeStore& nodes, const Root& left, const Root& right) {
  std::vector<Difference> out;
  DiffCursor cursor(nodes, left, right);
  while (auto d = must(cursor.next())) out.push_back(std::move(*d));
  return out;
}

TEST(Diff, IsTheModelsForAnyTwoMaps) {
  check_property(1500, [] {
    MemoryNodes nodes;
    Model left, right;
    apply_to(left, edits_of(*any_sweeps()));
    if (*rc::gen::arbitrary<bool>()) right = left;
    apply_to(right, edits_of(*any_sweeps()));
    RC_ASSERT((tree_diff(nodes, build(nodes, left), build(nodes, right)) == model_diff(left, right)));
  });
}

TEST(Diff, OfSmallEditsIsTheModels) {
  check_property(300, [] {
    MemoryNodes nodes;
    const Model left = *big_model();
    Model right = left;
    const auto sweeps = *small_sweeps();
    log(sweeps);
    apply_to(right, edits_of(sweeps));
    RC_ASSERT((tree_diff(nodes, build(nodes, left), build(nodes, right)) == model_diff(left, right)));
  });
}

TEST(NewNodes, AreExactlyThoseNotShared) {
  check_property(1500, [] {
    MemoryNodes nodes;
    Model known, now;
    const auto first = *any_sweeps(), second = *any_sweeps();
    log(first);
    log(second);
    apply_to(known, edits_of(first));
    if (*rc::gen::arbitrary<bool>()) now = known;
    apply_to(now, edits_of(second));
    const Root known_root = build(nodes, known), now_root = build(nodes, now);
    const std::set<ChunkId> shared = node_ids(nodes, known_root);
    std::set<ChunkId> expected = node_ids(nodes, now_root);
    std::erase_if(expected, [&](const ChunkId& id) { return shared.contains(id); });
    if (!now_root.empty() && now_root != known_root) expected.insert(now_root.id);
    std::set<ChunkId> parents, visited;
    Model values, expected_values;
    for (const ChunkId& id : expected) {
      const NodePtr node = must(nodes.load(id));
      for (size_t i = 0; node->leaf() && i < node->size(); ++i)
        expected_values[node->key(i)] = {Bytes(node->body(i)), 0};
    }
    must(for_each_new_node(
        nodes, known_root, now_root,
        [&](const ChunkId& id) -> Result<void> {
          RC_ASSERT(visited.insert(id).second);
          RC_ASSERT(id == now_root.id || parents.contains(id));
          const NodePtr node = must(nodes.load(id));
          for (size_t i = 0; !node->leaf() && i < node->size(); ++i) parents.insert(node->child(i));
          return {};
        },
        [&](ByteView key, ByteView value) -> Result<void> {
          RC_ASSERT(values.emplace(Bytes(key), Value{Bytes(value), 0}).second);
          return {};
        }));
    RC_ASSERT(visited == expected);
    RC_ASSERT(values == expected_values);
  });
}

TEST(NewNodes, AreVisitedBeforeTheyAreLoaded) {
  // So that a receiver can fetch them in the visit.
  MemoryNodes source, target;
  Model model;
  apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
  const Root root = build(source, model);
  uint64_t values = 0;
  must(for_each_new_node(
      target, {}, root,
      [&](const ChunkId& id) -> Result<void> {
        target.plant(id, must(source.load(id)));
        return {};
      },
      [&](ByteView, ByteView) -> Result<void> {
        ++values;
        return {};
      }));
  EXPECT_EQ(values, model.size());
  EXPECT_EQ(read_all(target, root), model);
}

TEST(NewNodes, PassOnTheVisitorsError) {
  MemoryNodes nodes;
  const Root root = build(nodes, {{"a", {"1", 1}}});
  const auto stop = for_each_new_node(
      nodes, {}, root, [](const ChunkId&) -> Result<void> { return {}; },
      [](ByteView, ByteView) -> Result<void> { return fail(Code::Cancelled, "stop"); });
  ASSERT_FALSE(stop);
  EXPECT_EQ(stop.error().code, Code::Cancelled);
}

class HundredThousand : public testing::Test {
 protected:
  static constexpr int kKeys = 100'000;
  static Bytes key(int i) { return fmt::format("pool/main/p/package-{:06}/file_{}.deb", i, i % 10); }
  HundredThousand() {
    for (int i = 0; i < kKeys; ++i) model[key(i)] = {Bytes(100, 'x') + std::to_string(i), 1};
    root = must(apply(nodes, {}, as_edits(model)));
    depth = must(nodes.load(root.id))->level() + 1;
  }
  Root edited(int edits) {
    std::vector<Edit> batch;
    for (int i = 0; i < edits; ++i) batch.push_back({key((i * 2 + 1) * kKeys / (edits * 2)), "new", 2});
    return must(apply(nodes, root, batch));
  }
  MemoryNodes nodes;
  Model model;
  Root root;
  uint64_t depth = 0;
};

TEST_F(HundredThousand, OneEditWritesOneNodePerLevel) {
  nodes.reset_counts();
  const Root changed = edited(1);
  EXPECT_NE(changed, root);
  EXPECT_LE(nodes.counts().saves, depth + 1);
  // Insertions and removals may also move cuts, of few nodes before they meet the old ones again.
  for (const int i : {0, 777, 50'000, kKeys - 1}) {
    nodes.reset_counts();
    const std::vector<Edit> edits{{key(i), std::nullopt, 0}, {key(i) + "!", "inserted", 1}};
    must(apply(nodes, root, edits));
    EXPECT_LE(nodes.counts().saves, 2 * depth + 3) << i;
    EXPECT_LE(nodes.counts().loads, 6 * depth) << i;
  }
}

TEST_F(HundredThousand, TenChangesAreFoundByLoadingTheirPathsOnly) {
  const Root changed = edited(10);
  nodes.reset_counts();
  EXPECT_EQ(tree_diff(nodes, root, changed).size(), 10u);
  EXPECT_LE(nodes.counts().loads, 2 * 10 * depth);
  nodes.reset_counts();
  uint64_t visited = 0;
  must(for_each_new_node(nodes, root, changed,
                         [&](const ChunkId&) -> Result<void> {
                           ++visited;
                           return {};
                         },
                         {}));
  EXPECT_LE(visited, 10 * (depth + 1));
  EXPECT_LE(nodes.counts().loads, 2 * 10 * depth);
}

TEST_F(HundredThousand, MergeOfTenChangesLoadsTheirPathsOnly) {
  const Root theirs = edited(10), ours = edited(7);
  nodes.reset_counts();
  const Merged merged = must(merge(nodes, root, ours, theirs, 10));
  EXPECT_EQ(merged.conflict_count, 0u);
  EXPECT_LE(nodes.counts().loads, 10 * 10 * depth);
  EXPECT_LE(nodes.counts().saves, 11 * depth);
}

TEST_F(HundredThousand, HasTheNodeSizesThatTheConstantsPromise) {
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  const double leaf_mean = static_cast<double>(kKeys) / static_cast<double>(tree[0].size());
  EXPECT_GT(leaf_mean, 0.9 * 64);
  EXPECT_LT(leaf_mean, 1.1 * 64);
  const double inner_mean = static_cast<double>(tree[0].size()) / static_cast<double>(tree[1].size());
  EXPECT_GT(inner_mean, 0.75 * 96);
  EXPECT_LT(inner_mean, 1.25 * 96);
}

}  // namespace
}  // namespace hailstone::tree
