#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

std::optional<Value> get(const Model& model, const Bytes& key) {
  const auto it = model.find(key);
  return it == model.end() ? std::nullopt : std::optional(it->second);
}

/// Key by key over all three.
struct ModelMerged {
  Model model;
  std::vector<Bytes> conflicts;
};
ModelMerged model_merge(const Model& base, const Model& ours, const Model& theirs) {
  std::set<Bytes> keys;
  for (const Model* model : {&base, &ours, &theirs}) {
    for (const auto& [key, value] : *model) keys.insert(key);
  }
  ModelMerged out;
  for (const Bytes& key : keys) {
    const auto b = get(base, key), o = get(ours, key), t = get(theirs, key);
    if (o != b && t != b && o != t) out.conflicts.push_back(key);
    if (const auto winner = o == b ? t : o) out.model[key] = *winner;
  }
  return out;
}

TEST(Merge, IsTheModelsForAnyThreeMaps) {
  check_property(1500, [] {
    MemoryNodes nodes;
    Model base;
    apply_to(base, edits_of(*any_sweeps()));
    Model ours = base, theirs = base;
    apply_to(ours, edits_of(*small_sweeps()));
    apply_to(theirs, edits_of(*rc::gen::oneOf(small_sweeps(), any_sweeps())));
    // merge() writes nodes of real size; small ones below test the reading of deep trees.
    const Shapes& shapes = *rc::gen::arbitrary<bool>() ? kShapes : kSmallShapes;
    const Root base_root = build(nodes, base, shapes), ours_root = build(nodes, ours, shapes);
    const Root theirs_root = build(nodes, theirs, shapes);
    const ModelMerged expected = model_merge(base, ours, theirs);
    const Merged merged = must(merge(nodes, base_root, ours_root, theirs_root, 5));
    RC_CLASSIFY(!expected.conflicts.empty());
    RC_ASSERT(merged.conflict_count == expected.conflicts.size());
    if (expected.conflicts.empty()) {
      RC_ASSERT(read_all(nodes, merged.root) == expected.model);
      if (&shapes == &kShapes) RC_ASSERT(merged.root == build(nodes, expected.model, kShapes));
      RC_ASSERT(merged.conflicts.empty());
    } else {
      RC_ASSERT(merged.root.empty());
      std::vector<Bytes> listed = expected.conflicts;
      listed.resize(std::min<size_t>(listed.size(), 5));
      RC_ASSERT(merged.conflicts == listed);
    }
    const Merged swapped = must(merge(nodes, base_root, theirs_root, ours_root, 5));
    if (&shapes == &kShapes) RC_ASSERT(swapped.root == merged.root);
    RC_ASSERT(swapped.conflicts == merged.conflicts);
  });
}

TEST(Merge, TakesASideThatAloneChanged) {
  MemoryNodes nodes;
  const Root a = build(nodes, {{"k", {"1", 1}}}), b = build(nodes, {{"k", {"2", 1}}});
  nodes.reset_counts();
  EXPECT_EQ(must(merge(nodes, a, a, b, 1)).root, b);
  EXPECT_EQ(must(merge(nodes, a, b, a, 1)).root, b);
  EXPECT_EQ(must(merge(nodes, a, b, b, 1)).root, b);
  EXPECT_EQ(nodes.counts().loads, 0u);
}

TEST(Merge, AWeightAloneIsAChange) {
  MemoryNodes nodes;
  const Root base = build(nodes, {{"k", {"1", 1}}}), ours = build(nodes, {{"k", {"1", 2}}}),
             theirs = build(nodes, {{"k", {"1", 3}}});
  EXPECT_EQ(must(merge(nodes, base, ours, theirs, 1)).conflicts, std::vector<Bytes>{"k"});
}

TEST(Merge, WritesNothingOnAConflict) {
  MemoryNodes nodes;
  const Root base = build(nodes, {{"a", {"1", 1}}, {"k", {"1", 1}}});
  const Root ours = build(nodes, {{"a", {"1", 1}}, {"k", {"2", 1}}});
  const Root theirs = build(nodes, {{"a", {"9", 1}}, {"k", {"3", 1}}});
  nodes.reset_counts();
  const Merged merged = must(merge(nodes, base, ours, theirs, 0));
  EXPECT_EQ(merged.conflict_count, 1u);
  EXPECT_TRUE(merged.conflicts.empty());
  EXPECT_EQ(nodes.counts().saves, 0u);
}

}  // namespace
}  // namespace hailstone::tree
