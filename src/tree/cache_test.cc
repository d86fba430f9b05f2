#include "tree/cache.h"

#include <atomic>
#include <random>
#include <thread>

#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

/// A memory store that counts reads and can fail or lie.
class FaultyChunks final : public chunk::ChunkStore {
 public:
  Result<ChunkId> put(ByteView bytes, chunk::Compress compress) override { return store_->put(bytes, compress); }
  Result<void> sync() override { return store_->sync(); }
  Result<chunk::SharedBytes> get(const ChunkId& id) override {
    ++gets;
    if (failure) return std::unexpected(*failure);
    if (lie != nullptr) return lie;
    return store_->get(id);
  }
  Result<chunk::Stat> stat(const ChunkId& id) override { return store_->stat(id); }
  Result<chunk::Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    return store_->extent(id, form, offset, length);
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override { return store_->has(ids); }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return store_->touch(ids); }
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override { return store_->list(after, limit); }
  Result<void> erase(std::span<const ChunkId> ids) override { return store_->erase(ids); }
  Stats stats() const override { return store_->stats(); }

  std::atomic<uint64_t> gets = 0;
  std::optional<Error> failure;
  chunk::SharedBytes lie;

 private:
  std::unique_ptr<chunk::ChunkStore> store_ = chunk::make_memory_store();
};

Model numbered(int keys) {
  Model model;
  for (int i = 0; i < keys; ++i) model[fmt::format("key-{:06}", i)] = {Bytes(50, 'v') + std::to_string(i), 1};
  return model;
}

TEST(CachedNodes, KeepWhatWasSavedAndLoaded) {
  FaultyChunks chunks;
  Root root;
  const Model model = numbered(5000);
  {
    CachedNodes nodes(chunks, {});
    root = build(nodes, model, kShapes);
    EXPECT_EQ(read_all(nodes, root), model);
    EXPECT_EQ(chunks.gets, 0u);
  }
  CachedNodes nodes(chunks, {});
  EXPECT_EQ(read_all(nodes, root), model);
  const uint64_t gets = chunks.gets;
  EXPECT_EQ(gets, node_ids(nodes, root).size());
  EXPECT_EQ(read_all(nodes, root), model);
  EXPECT_EQ(chunks.gets, gets);
  EXPECT_EQ(nodes.stats().misses, gets);
  EXPECT_GT(nodes.stats().hits, 0u);
}

TEST(CachedNodes, StayWithinTheirBytes) {
  FaultyChunks chunks;
  CachedNodes big(chunks, {});
  const Model model = numbered(20'000);
  const Root root = build(big, model, kShapes);
  const uint64_t whole = big.stats().bytes;
  for (const uint64_t part : {2, 5, 20}) {
    CachedNodes nodes(chunks, {.bytes_max = whole / part, .shards = 4});
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(read_all(nodes, root), model);
      EXPECT_LE(nodes.stats().bytes, whole / part);
      EXPECT_GT(nodes.stats().bytes, whole / part / 2);
    }
  }
  CachedNodes none(chunks, {.bytes_max = 0, .shards = 1});
  EXPECT_EQ(read_all(none, root), model);
  EXPECT_EQ(none.stats().bytes, 0u);
}

TEST(CachedNodes, KeepTheUsedAndDropTheUnused) {
  FaultyChunks chunks;
  Root root;
  {
    CachedNodes all(chunks, {});
    root = build(all, numbered(20'000), kShapes);
  }
  CachedNodes nodes(chunks, {.bytes_max = 256 << 10, .shards = 1});
  const NodePtr top = must(nodes.load(root.id));
  std::map<unsigned, std::vector<NodePtr>> tree;
  collect(nodes, root.id, tree);
  must(nodes.load(root.id));
  for (size_t i = 0; i + 1 < tree[0].size(); ++i) {
    must(nodes.load(ChunkId(sha256(tree[0][i]->raw()))));
    const uint64_t gets = chunks.gets;
    must(nodes.load(root.id));
    EXPECT_EQ(chunks.gets, gets) << "the node used every time was evicted";
  }
}

TEST(CachedNodes, PassOnErrorsAndRefuseWhatIsNoNode) {
  FaultyChunks chunks;
  CachedNodes writer(chunks, {}), nodes(chunks, {});
  const Root root = build(writer, numbered(10));
  chunks.failure = Error{Code::Io, "disk"};
  EXPECT_EQ(nodes.load(root.id).error().code, Code::Io);
  chunks.failure.reset();
  chunks.lie = std::make_shared<const Bytes>("no node");
  EXPECT_EQ(nodes.load(root.id).error().code, Code::Corrupt);
  chunks.lie = nullptr;
  EXPECT_TRUE(nodes.load(root.id));
  EXPECT_EQ(nodes.load(ChunkId(sha256("absent"))).error().code, Code::Corrupt);
  EXPECT_EQ(nodes.save("no node").error().code, Code::Invalid);
}

TEST(CachedNodes, AccountRightWhenThreadsMissTogether) {
  FaultyChunks chunks;
  Root root;
  const Model model = numbered(20'000);
  uint64_t whole = 0;
  {
    CachedNodes all(chunks, {});
    root = build(all, model, kShapes);
    whole = all.stats().bytes;
  }
  CachedNodes nodes(chunks, {.bytes_max = whole / 3, .shards = 2});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 20'000; ++i) {
        auto it = model.lower_bound(fmt::format("key-{:06}", random() % 20'000));
        const auto found = lookup(nodes, root, it->first);
        if (!found || !*found || (*found)->value != it->second.value) ++wrong;
        if (nodes.stats().bytes > whole / 3) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  // Afterwards the books still balance: a cache of all equals a fresh one.
  EXPECT_EQ(read_all(nodes, root), model);
  EXPECT_LE(nodes.stats().bytes, whole / 3);
}

TEST(CachedNodes, FindEverythingThroughManyEvictions) {
  // The index must survive thousands of removals from the middle of its probe runs.
  FaultyChunks chunks;
  CachedNodes nodes(chunks, {.bytes_max = 64 << 10, .shards = 1});
  std::mt19937_64 random(7);
  std::vector<std::pair<ChunkId, Bytes>> saved;
  for (int i = 0; i < 20'000; ++i) {
    const Bytes key = fmt::format("k{}", random() % 3000);
    const ItemView item{key, "v", {1, 0}};
    const ChunkId id = must(nodes.save(must(encode_node(0, {&item, 1}))));
    saved.emplace_back(id, key);
    const auto& [again, its_key] = saved[random() % saved.size()];
    ASSERT_EQ(must(nodes.load(again))->key(0), its_key);
    ASSERT_EQ(must(nodes.load(id))->key(0), key);
  }
  EXPECT_LE(nodes.stats().bytes, 64u << 10);
  EXPECT_GT(nodes.stats().hits, 20'000u);
}

}  // namespace
}  // namespace hailstone::tree
