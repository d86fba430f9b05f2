#include "tree/node.h"

#include <fstream>
#include <random>

#include "base/codec.h"
#include "chunk/store.h"
#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

Result<NodePtr> decode(Bytes bytes) {
  const ChunkId id(sha256(bytes));
  return Node::decode(id, std::make_shared<const Bytes>(std::move(bytes)));
}

std::vector<Bytes> some_keys(size_t count, const Bytes& prefix, size_t key_bytes = 0) {
  std::vector<Bytes> out;
  for (size_t i = 0; i < count; ++i) {
    Bytes key = prefix + fmt::format("{:08}", i);
    if (key.size() < key_bytes) key.resize(key_bytes, 'x');
    out.push_back(std::move(key));
  }
  return out;
}

Bytes leaf_of(const std::vector<Bytes>& keys, const Bytes& value = "value") {
  std::vector<ItemView> items;
  for (const Bytes& key : keys) items.push_back({key, value, {1, key.size() * 1000}});
  return must(encode_node(0, items));
}

Bytes inner_of(const std::vector<Bytes>& keys, unsigned level = 1) {
  std::vector<ItemView> items;
  std::vector<Bytes> ids;
  for (const Bytes& key : keys) ids.emplace_back(sha256(key).view());
  for (size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], ids[i], {i % kShapes.leaf.max + 1, i * 7}});
  return must(encode_node(level, items));
}

TEST(Node, ReadsBackWhatWasEncoded) {
  check_property(2000, [] {
    const auto bytes =
        rc::gen::container<Bytes>(rc::gen::element<char>('\0', '\x01', 'a', 'b', '\x7f', '\x80', '\xff'));
    const auto shared = *rc::gen::resize(20, bytes);
    std::map<Bytes, std::pair<Bytes, uint64_t>> model;
    for (const Bytes& tail : *rc::gen::container<std::vector<Bytes>>(bytes)) {
      const Bytes key = shared + tail;
      if (key.empty() || model.size() == kShapes.leaf.max) continue;
      model[key] = {*rc::gen::arbitrary<Bytes>(), *rc::gen::arbitrary<uint32_t>()};
    }
    RC_PRE(!model.empty());
    std::vector<ItemView> items;
    Totals sum;
    for (const auto& [key, value] : model) {
      items.push_back({key, value.first, {1, value.second}});
      sum.keys += 1;
      sum.weight += value.second;
    }
    const NodePtr node = must(decode(must(encode_node(0, items))));
    RC_ASSERT(node->size() == model.size());
    RC_ASSERT(node->totals() == sum);
    size_t i = 0;
    for (const auto& [key, value] : model) {
      RC_ASSERT(node->key(i) == key);
      RC_ASSERT(node->body(i) == value.first);
      RC_ASSERT(node->item_totals(i).weight == value.second);
      ++i;
    }
    for (int probe = 0; probe < 20; ++probe) {
      const Bytes key = (*rc::gen::arbitrary<bool>() ? shared : Bytes()) + *bytes;
      const Node::Place at = node->search(key);
      const auto it = model.lower_bound(key);
      RC_ASSERT(at.index == static_cast<size_t>(std::distance(model.begin(), it)));
      RC_ASSERT(at.exact == (it != model.end() && it->first == key));
    }
  });
}

TEST(Node, ComparesSplitKeysAsWholeOnes) {
  check_property(2000, [] {
    const auto bytes = rc::gen::resize(6, rc::gen::container<Bytes>(rc::gen::element<char>('\0', 'a', 'b', '\xff')));
    const Bytes ap = *bytes, as = *bytes, bp = *bytes, bs = *bytes;
    RC_ASSERT(compare(SplitKey{ap, as}, SplitKey{bp, bs}) == (ap + as <=> bp + bs));
  });
}

TEST(Node, OfTheLongestKeysAndValuesFitsAChunk) {
  const Bytes leaf = leaf_of(some_keys(kShapes.leaf.max, "k", kKeyBytesMax), Bytes(kValueBytesMax, 'v'));
  EXPECT_LE(leaf.size(), chunk::kChunkBytesMax);
  EXPECT_GT(leaf.size(), kShapes.leaf.max * kValueBytesMax);
  EXPECT_TRUE(decode(leaf));
  const Bytes inner = inner_of(some_keys(kShapes.inner.max, "k", kKeyBytesMax));
  EXPECT_LE(inner.size(), chunk::kChunkBytesMax);
  EXPECT_TRUE(decode(inner));
}

TEST(Node, RefusesEveryCutAndEveryExtension) {
  for (const Bytes& whole : {leaf_of(some_keys(5, "prefix/")), inner_of(some_keys(5, "prefix/"))}) {
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto result = decode(whole.substr(0, n));
      ASSERT_FALSE(result) << n;
      EXPECT_EQ(result.error().code, Code::Corrupt);
    }
    EXPECT_FALSE(decode(whole + '\0'));
  }
}

/// Reads all that a node shows; sanitizers watch.
size_t touch_all(const Node& node) {
  size_t sum = node.memory();
  for (size_t i = 0; i < node.size(); ++i) {
    sum += node.key(i).size() + node.body(i).size() + node.item_totals(i).weight % 7;
    EXPECT_EQ(node.search(node.key(i)).index, i);
  }
  return sum;
}

TEST(Node, WithAnyBitFlippedIsRefusedOrAnotherValidNode) {
  for (const Bytes& whole : {leaf_of(some_keys(7, "prefix/")), inner_of(some_keys(7, "prefix/"), 3)}) {
    size_t accepted = 0;
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
      Bytes flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const auto node = decode(flipped);
      if (!node) continue;
      ++accepted;
      touch_all(**node);
      // Only one encoding each: what was accepted encodes to the same bytes.
      std::vector<ItemView> items;
      std::vector<Bytes> keys;
      for (size_t i = 0; i < (*node)->size(); ++i) keys.push_back((*node)->key(i));
      for (size_t i = 0; i < (*node)->size(); ++i)
        items.push_back({keys[i], (*node)->body(i), (*node)->item_totals(i)});
      EXPECT_EQ(must(encode_node((*node)->level(), items)), flipped);
    }
    EXPECT_GT(accepted, 0u);  // bits of values and ids mean nothing here: the chunk's hash guards them
  }
}

struct Damage {
  const char* what;
  const char* message;
  std::function<void(Bytes&)> make;
};

TEST(Node, NamesWhatIsWrong) {
  const std::vector<Bytes> keys = some_keys(4, "ab");
  const Bytes leaf = leaf_of(keys), inner = inner_of(keys);
  const size_t tables = kNodeHeaderBytes + must(decode(leaf))->prefix().size();
  const auto poke = [](size_t at, char value) { return [=](Bytes& b) { b[at] = value; }; };
  const std::vector<std::pair<Bytes, Damage>> cases{
      {leaf, {"magic", "magic", poke(0, 'X')}},
      {leaf, {"version", "version", poke(4, 2)}},
      {leaf, {"level", "level beyond", poke(5, kLevelMax + 1)}},
      {leaf, {"no items", "number of items", poke(6, 0)}},
      {leaf, {"many items", "number of items", poke(6, '\xf1')}},
      {leaf, {"prefix", "prefix beyond", poke(9, '\x7f')}},
      {leaf, {"keys", "totals are not", poke(10, 5)}},
      {leaf, {"weight", "totals are not", poke(18, 5)}},
      {leaf, {"ends fall", "key ends out of order", poke(tables + 4, 0)}},
      {leaf, {"ends far", "key ends out of order", poke(tables + 6, 1)}},
      {leaf, {"value ends fall", "value ends out of order", poke(tables + 16 + 4, 0)}},
      {leaf, {"keys swapped", "keys out of order", [&](Bytes& b) { b[tables + 32] = '9'; }}},
      {leaf, {"long tail", "length does not match", [](Bytes& b) { b += "x"; }}},
      {inner, {"child id", "child without an id", [&](Bytes& b) { b.replace(b.size() - 48, 32, 32, '\0'); }}},
      {inner, {"child empty", "impossible number", [&](Bytes& b) { b.replace(b.size() - 16, 8, 8, '\0'); }}},
      {inner, {"child full", "impossible number", [&](Bytes& b) { b[b.size() - 16] = '\xf1'; }}},
      {inner,
       {"overflow", "totals pass",
        [&](Bytes& b) {
          b.replace(b.size() - 56, 8, 8, '\xff');
          b.replace(b.size() - 8, 8, 8, '\xff');
        }}},
  };
  for (const auto& [good, damage] : cases) {
    Bytes bad = good;
    damage.make(bad);
    const auto result = decode(bad);
    ASSERT_FALSE(result) << damage.what;
    EXPECT_NE(result.error().message.find(damage.message), Bytes::npos)
        << damage.what << ": " << result.error().message;
    EXPECT_EQ(result.error().code, std::string(damage.what) == "version" ? Code::Unsupported : Code::Corrupt);
  }
}

/// As encode_node without its care: the given prefix is kept in front of the given suffixes.
Bytes careless_leaf(ByteView prefix, const std::vector<Bytes>& suffixes) {
  Bytes out, values;
  Encoder e(out);
  e.raw("HTRN");
  e.u8(1);
  e.u8(0);
  e.u16(static_cast<uint16_t>(suffixes.size()));
  e.u16(static_cast<uint16_t>(prefix.size()));
  e.u64(suffixes.size());
  e.u64(0);
  e.raw(prefix);
  uint32_t end = 0;
  for (const Bytes& suffix : suffixes) e.u32(end += static_cast<uint32_t>(suffix.size()));
  for (size_t i = 1; i <= suffixes.size(); ++i) e.u32(static_cast<uint32_t>(i));
  for (const Bytes& suffix : suffixes) e.raw(suffix);
  e.raw(Bytes(suffixes.size(), '\0'));
  return out;
}

TEST(Node, RefusesWhatEncodesTheSameOtherwise) {
  const auto message = [](ByteView prefix, const std::vector<Bytes>& suffixes) {
    const auto result = decode(careless_leaf(prefix, suffixes));
    return result ? Bytes() : result.error().message.substr(result.error().message.find(": ") + 2);
  };
  EXPECT_EQ(message("ab", {"c", "d"}), "");
  EXPECT_EQ(message("a", {"bc", "bd"}), "prefix is not the longest");
  EXPECT_EQ(message("", {"a"}), "prefix is not the longest");
  EXPECT_EQ(message("a", {""}), "");
  EXPECT_EQ(message("ab", {"c", "c"}), "keys out of order");
  EXPECT_EQ(message("", {"", "c"}), "key length beyond the limit");
  EXPECT_EQ(message("a", {Bytes(kKeyBytesMax, 'k')}), "key length beyond the limit");
}

// A tree whose nodes are each valid, but do not fit together: found on the way down.
TEST(Path, RefusesChildrenThatAreNotWhatTheParentStates) {
  MemoryNodes nodes;
  Model model;
  apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
  const Root root = build(nodes, model);
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  const auto leaf = [&](const std::vector<Bytes>& keys, uint64_t weight) {
    std::vector<ItemView> items;
    for (const Bytes& key : keys) items.push_back({key, "v", {1, weight}});
    return must(decode(must(encode_node(0, items))));
  };
  const NodePtr victim = tree[0][1];
  const ChunkId id(sha256(victim->raw()));
  std::vector<Bytes> keys;
  for (size_t i = 0; i < victim->size(); ++i) keys.push_back(victim->key(i));
  const auto problem = [&](const NodePtr& planted) -> Bytes {
    nodes.plant(id, planted);
    Cursor cursor(nodes, root);
    auto at = cursor.next();
    while (at && cursor.valid()) at = cursor.next();
    return at ? "" : at.error().message.substr(at.error().message.find(": ") + 2);
  };
  EXPECT_EQ(problem(victim), "");
  EXPECT_EQ(problem(tree.rbegin()->second[0]), fmt::format("level {} below level 1", tree.rbegin()->first));
  EXPECT_EQ(problem(leaf(keys, 123)), "totals are not those its parent states");
  // The same weights under other keys.
  const auto twist = [&](size_t index, const Bytes& key) {
    std::vector<Bytes> other = keys;
    other[index] = key;
    std::vector<ItemView> items;
    for (size_t i = 0; i < other.size(); ++i) items.push_back({other[i], victim->body(i), victim->item_totals(i)});
    return must(decode(must(encode_node(0, items))));
  };
  EXPECT_EQ(problem(twist(0, keys[0] + "!")), "first key is not the one its parent states");
  EXPECT_EQ(problem(twist(keys.size() - 1, "zzz")), "last key reaches into the next node");
}

}  // namespace
}  // namespace hailstone::tree
