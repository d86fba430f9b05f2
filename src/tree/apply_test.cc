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
      root = must(apply(nodes, root, edits));
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
      root = must(apply(nodes, root, edits));
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
      const size_t n = std::min<size_t>(edits.size() - i, 1 + random() % 200);
      std::vector<Edit> batch(edits.begin() + static_cast<ptrdiff_t>(i), edits.begin() + static_cast<ptrdiff_t>(i + n));
      std::sort(batch.begin(), batch.end(), [](const Edit& a, const Edit& b) { return a.key < b.key; });
      root = must(apply(nodes, root, batch));
      i += n;
    }
    RC_ASSERT(root == expected);
    // And emptied again, in another order.
    std::shuffle(edits.begin(), edits.end(), random);
    while (!edits.empty()) {
      const size_t n = std::min<size_t>(edits.size(), 1 + random() % 300);
      std::vector<Edit> batch(edits.end() - static_cast<ptrdiff_t>(n), edits.end());
      edits.resize(edits.size() - n);
      std::sort(batch.begin(), batch.end(), [](const Edit& a, const Edit& b) { return a.key < b.key; });
      for (Edit& edit : batch) edit.value.reset();
      root = must(apply(nodes, root, batch));
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
    RC_ASSERT(must(apply(nodes, root, edits)) == root);
    RC_ASSERT(nodes.counts().saves == 0u);
  });
}

TEST(Apply, EditsBeforeAFirstKeyThatIsABoundaryKeepTheRest) {
  // Where the region of the edit ends at once, at the root's own start.
  const auto boundary =
      std::find_if(pool().begin(), pool().end(), [](const Bytes& key) { return starts_node(1, boundary_hash(key)); });
  MemoryNodes nodes;
  Model model{{*boundary, {"v", 1}}};
  const Root root = build(nodes, model);
  const std::vector<Edit> removal{{"a", std::nullopt, 0}};
  EXPECT_EQ(must(apply(nodes, root, removal)), root);
  const std::vector<Edit> insertion{{"a", "w", 0}};
  const Root more = must(apply(nodes, root, insertion));
  apply_to(model, insertion);
  EXPECT_EQ(canonical_problem(nodes, more, model), "");
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
  const auto missing = apply(nodes, root, edits);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::NotFound);
}

}  // namespace
}  // namespace hailstone::tree
