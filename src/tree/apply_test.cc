#include <random>

#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

TEST(Apply, AnyBatchesLeaveTheCanonicalTree) {
  check_property(1500, [] {
    MemoryNodes nodes;
    Root root;
    Model model;
    for (const auto& sweeps : *rc::gen::resize(6, rc::gen::container<std::vector<std::vector<Sweep>>>(any_sweeps()))) {
      const std::vector<Edit> edits = edits_of(sweeps);
      log(sweeps);
      root = must(small_apply(nodes, root, edits));
      apply_to(model, edits);
      RC_ASSERT(canonical_problem(nodes, root, model) == "");
    }
    RC_ASSERT(root == build(nodes, model));
  });
}

TEST(Apply, SmallEditsOfABigTreeLeaveTheCanonicalTree) {
  check_property(600, [] {
    MemoryNodes nodes;
    Model model = *big_model();
    Root root = build(nodes, model);
    for (int batch = 0; batch < 3; ++batch) {
      const std::vector<Sweep> sweeps = *small_sweeps();
      log(sweeps);
      const std::vector<Edit> edits = edits_of(sweeps);
      root = must(small_apply(nodes, root, edits));
      apply_to(model, edits);
      RC_ASSERT(canonical_problem(nodes, root, model) == "");
    }
  });
}

TEST(Apply, OrderAndBatchingDoNotShowInTheRoot) {
  check_property(300, [] {
    MemoryNodes nodes;
    std::vector<Edit> edits = edits_of(*any_sweeps());
    std::erase_if(edits, [](const Edit& edit) { return !edit.value; });
    Model model;
    apply_to(model, edits);
    const Root expected = build(nodes, model);
    std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
    std::shuffle(edits.begin(), edits.end(), random);
    Root root;
    for (size_t i = 0; i < edits.size();) {
      const size_t n = std::min<size_t>(edits.size() - i, 1 + random() % 60);
      std::vector<Edit> batch(edits.begin() + static_cast<ptrdiff_t>(i), edits.begin() + static_cast<ptrdiff_t>(i + n));
      std::sort(batch.begin(), batch.end(), [](const Edit& a, const Edit& b) { return a.key < b.key; });
      root = must(small_apply(nodes, root, batch));
      i += n;
    }
    RC_ASSERT(root == expected);
    // And emptied again, in another order.
    std::shuffle(edits.begin(), edits.end(), random);
    while (!edits.empty()) {
      const size_t n = std::min<size_t>(edits.size(), 1 + random() % 60);
      std::vector<Edit> batch(edits.end() - static_cast<ptrdiff_t>(n), edits.end());
      edits.resize(edits.size() - n);
      std::sort(batch.begin(), batch.end(), [](const Edit& a, const Edit& b) { return a.key < b.key; });
      for (Edit& edit : batch) edit.value.reset();
      root = must(small_apply(nodes, root, batch));
    }
    RC_ASSERT(root.empty());
  });
}

TEST(Apply, NoChangeWritesNothing) {
  check_property(300, [] {
    MemoryNodes nodes;
    Model model;
    apply_to(model, edits_of(*any_sweeps()));
    const Root root = build(nodes, model);
    std::vector<Edit> edits;
    for (size_t i = 0; i < pool().size(); i += 1 + i % 7) {
      const auto it = model.find(pool()[i]);
      edits.push_back(it == model.end() ? Edit{pool()[i], std::nullopt, 0}
                                        : Edit{it->first, it->second.value, it->second.weight});
    }
    nodes.reset_counts();
    RC_ASSERT(must(small_apply(nodes, root, edits)) == root);
    RC_ASSERT(nodes.counts().saves == 0u);
  });
}

TEST(Apply, EditsBeforeAFirstKeyThatIsABoundaryKeepTheRest) {
  // Where the region of the edit ends at once, at the root's own start.
  const auto boundary = std::find_if(pool().begin(), pool().end(), [](const Bytes& key) {
    return is_candidate(kSmallShapes.leaf, boundary_hash(0, key));
  });
  MemoryNodes nodes;
  Model model{{*boundary, {"v", 1}}};
  const Root root = build(nodes, model);
  const std::vector<Edit> removal{{"a", std::nullopt, 0}};
  EXPECT_EQ(must(small_apply(nodes, root, removal)), root);
  const std::vector<Edit> insertion{{"a", "w", 0}};
  const Root more = must(small_apply(nodes, root, insertion));
  apply_to(model, insertion);
  EXPECT_EQ(canonical_problem(nodes, more, model), "");
}

TEST(Apply, WithRealNodeSizesLeavesTheCanonicalTree) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 5; ++round) {
    MemoryNodes nodes;
    Root root;
    Model model;
    for (const size_t edits : {15'000, 1, 2000, 1, 1, 40, 1, 12'000, 1}) {
      std::map<Bytes, Edit> batch;
      while (batch.size() < edits) {
        Bytes key = fmt::format("pool/{:05}", random() % 20'000);
        batch[key] = random() % 3 == 0 ? Edit{key, std::nullopt, 0} : Edit{key, std::to_string(random() % 3), 1};
      }
      std::vector<Edit> sorted;
      for (auto& [key, edit] : batch) sorted.push_back(std::move(edit));
      root = must(apply(nodes, root, sorted));
      apply_to(model, sorted);
    }
    ASSERT_EQ(canonical_problem(nodes, root, model, kShapes), "");
  }
}

/// The first keys in order whose hashes at level 0 are `wanted`, one after another.
template <class Wanted>
Model chosen(size_t count, Wanted wanted) {
  Model model;
  for (uint64_t i = 0; model.size() < count; ++i) {
    Bytes key = fmt::format("{:08}", i);
    if (wanted(boundary_hash(0, key), model.size())) model[std::move(key)] = {"v", 1};
  }
  return model;
}

TEST(Apply, KeepsNodesWithinBoundsForAdversarialKeys) {
  const std::map<std::string, Model> attacks{
      {"no candidate", chosen(5000, [](uint64_t hash, size_t) { return !is_candidate(kShapes.leaf, hash); })},
      {"all candidates", chosen(5000, [](uint64_t hash, size_t) { return is_candidate(kShapes.leaf, hash); })},
      // Forced cuts fall on the last item they may then.
      {"falling hashes", chosen(1000, [](uint64_t hash, size_t i) { return hash / (UINT64_MAX / 1100) == 1099 - i; })}};
  for (const auto& [name, model] : attacks) {
    MemoryNodes nodes;
    Root root = build(nodes, model, kShapes);
    EXPECT_EQ(canonical_problem(nodes, root, model, kShapes), "") << name;
    std::map<unsigned, std::vector<NodePtr>> tree;
    collect(nodes, root.id, tree);
    for (const NodePtr& leaf : tree[0]) {
      EXPECT_LE(leaf->size(), kShapes.leaf.max) << name;
      if (leaf != tree[0].back()) EXPECT_GE(leaf->size(), kShapes.leaf.min) << name;
    }
    Model more = model;
    for (const Bytes& key : {Bytes("!"), Bytes("00002345!"), Bytes("~")}) {
      const std::vector<Edit> edits{{key, "new", 1}};
      root = must(apply(nodes, root, edits));
      apply_to(more, edits);
      EXPECT_EQ(canonical_problem(nodes, root, more, kShapes), "") << name << " with " << key;
    }
  }
}

TEST(Apply, TakesKeysOfEveryByteAndLength) {
  Model model;
  for (int byte = 0; byte < 256; ++byte) {
    for (const size_t length : {1, 2, 7, 8, 9, 300, 1023, 1024})
      model[Bytes(length, static_cast<char>(byte))] = {"v", 1};
    model[Bytes(1000, '\xff') + static_cast<char>(byte)] = {Bytes(byte % 7 == 0 ? kValueBytesMax : 1, 'v'), 1};
    model[Bytes(1000, 'p') + static_cast<char>(byte) + '\0'] = {"", 0};
  }
  for (const Shapes& shapes : {kShapes, kSmallShapes}) {
    MemoryNodes nodes;
    const Root root = build(nodes, model, shapes);
    EXPECT_EQ(canonical_problem(nodes, root, model, shapes), "");
    for (const auto& [key, value] : model) {
      const auto found = must(lookup_view(nodes, root, key));
      ASSERT_TRUE(found) << printable(key);
      EXPECT_EQ(found->value, value.value);
      EXPECT_EQ(must(lookup(nodes, root, key + '\0')).has_value(), model.contains(key + '\0'));
    }
  }
}

TEST(Apply, RemovingTheStartOfAnyNodeOfAnyLevelJoinsItToTheOneBefore) {
  MemoryNodes nodes;
  Model model;
  apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
  const Root root = build(nodes, model);
  for (const Bytes& key : pool()) {
    Model less = model;
    less.erase(key);
    const std::vector<Edit> removal{{key, std::nullopt, 0}};
    const Root changed = must(small_apply(nodes, root, removal));
    ASSERT_EQ(canonical_problem(nodes, changed, less), "") << key;
    const std::vector<Edit> undo{{key, model[key].value, model[key].weight}};
    ASSERT_EQ(must(small_apply(nodes, changed, undo)), root) << key;
  }
}

TEST(Apply, RefusesKeysAndValuesBeyondTheirLimits) {
  MemoryNodes nodes;
  const auto code = [&](Bytes key, Bytes value) {
    const std::vector<Edit> edits{{std::move(key), std::move(value), 0}};
    const auto result = apply(nodes, {}, edits);
    return result ? std::optional<Code>() : result.error().code;
  };
  EXPECT_EQ(code("", "v"), Code::Invalid);
  EXPECT_EQ(code(Bytes(kKeyBytesMax + 1, 'k'), "v"), Code::Invalid);
  EXPECT_EQ(code("k", Bytes(kValueBytesMax + 1, 'v')), Code::Invalid);
  EXPECT_EQ(code(Bytes(kKeyBytesMax, 'k'), Bytes(kValueBytesMax, 'v')), std::nullopt);
}

TEST(Apply, RefusesWeightsWhoseSumOverflows) {
  MemoryNodes nodes;
  const std::vector<Edit> edits{{"a", "", UINT64_MAX}, {"b", "", 1}};
  const auto result = apply(nodes, {}, edits);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::Invalid);
}

TEST(Apply, PassesOnTheErrorOfItsSourceAndOfItsStore) {
  MemoryNodes nodes;
  const auto broken =
      apply_stream(nodes, {}, []() -> Result<std::optional<Edit>> { return fail(Code::Cancelled, "stop"); });
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error(), (Error{Code::Cancelled, "stop"}));
  Model model;
  for (const Bytes& key : pool()) model[key] = {"v", 1};
  const Root root = build(nodes, model);
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  nodes.erase(ChunkId(sha256(tree[0].back()->raw())));
  const std::vector<Edit> edits{{pool().back(), "w", 1}};
  const auto missing = small_apply(nodes, root, edits);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::NotFound);
}

}  // namespace
}  // namespace hailstone::tree
