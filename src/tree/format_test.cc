// The format is for ever: nodes and roots written down once must come out the same from every later version.
#include <filesystem>
#include <fstream>

#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

std::string testdata(const std::string& name) {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata" / name);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

Bytes golden_node(const std::string& name) {
  std::string hex = testdata(name);
  std::erase(hex, '\n');
  Bytes out;
  EXPECT_TRUE(from_hex(hex, out)) << name;
  return out;
}

/// The golden bytes decode to the items, and the items encode to the golden bytes. The files were written by an
/// independent encoder.
void expect_golden(const std::string& name, unsigned level, const std::vector<ItemView>& items) {
  const Bytes golden = golden_node(name);
  EXPECT_EQ(to_hex(must(encode_node(level, items))), to_hex(golden)) << name;
  const NodePtr node = must(Node::decode({}, std::make_shared<const Bytes>(golden)));
  ASSERT_EQ(node->size(), items.size());
  EXPECT_EQ(node->level(), level);
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(node->key(i), items[i].key);
    EXPECT_EQ(node->body(i), items[i].body);
    EXPECT_EQ(node->item_totals(i), items[i].totals);
  }
}

TEST(Format, GoldenLeaves) {
  expect_golden("leaf_v1.hex", 0, {{"ant", "A", {1, 3}}, {"anteater", "BB", {1, 300}}});
  const Bytes zero(1, '\0');
  const Bytes both{'\0', '\xff'};
  expect_golden("leaf_binary_v1.hex", 0,
                {{zero, "", {1, 0}}, {both, both, {1, 1ull << 63}}, {"\xff\xff\xff", "value", {1, 127}}});
}

TEST(Format, GoldenInnerNode) {
  const Hash256 a = sha256("a"), b = sha256("b"), d = sha256("d");
  expect_golden("inner_v1.hex", 3,
                {{"pool/a", a.view(), {10, 1000}},
                 {"pool/b/c", b.view(), {1ull << 20, 1ull << 40}},
                 {"pool/d", d.view(), {1, 0}}});
}

TEST(Format, GoldenRoots) {
  std::istringstream lines(testdata("roots_v1.txt"));
  std::string hex;
  size_t keys = 0, read = 0;
  while (lines >> keys >> hex) {
    ++read;
    Model model;
    for (size_t i = 0; i < keys; ++i)
      model[fmt::format("{:x}/{}", i * 2654435761 % 4096, i)] = {fmt::format("value {}", i), i};
    MemoryNodes nodes;
    const Root root = must(apply(nodes, {}, as_edits(model)));
    EXPECT_EQ(root.id.hex(), hex) << keys << " keys";
    EXPECT_EQ(canonical_problem(nodes, root, model, kShapes), "");
  }
  EXPECT_EQ(read, 5u);
}

TEST(Format, GoldenBoundaryHash) {
  EXPECT_EQ(boundary_hash(0, "ant"), 1276000711057921990u);
  EXPECT_EQ(boundary_hash(1, "ant"), 2192666601157889906u);
}

}  // namespace
}  // namespace hailstone::tree
