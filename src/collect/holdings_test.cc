#include "collect/holdings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunk/cluster_for_tests.h"
#include "collect/test_cell.h"

namespace hailstone::collect {
namespace {

using chunk::StoreState;
using net::NodeId;
using testing::ForgetfulDatabase;
using ::testing::HasSubstr;

/// Nodes that share one state, each with a store and a collector of its own.
class Nodes : public ::testing::Test {
 protected:
  struct Side {
    ForgetfulDatabase counts;
    std::unique_ptr<tree::CachedNodes> nodes;
    std::unique_ptr<volume::Repository> repository;
    std::unique_ptr<Holdings> holdings;
    std::unique_ptr<Collector> collector;
    uint64_t run = 0;
  };

  explicit Nodes(uint64_t n = 3, size_t copies = 3) : cluster(n, options(copies)) {
    CHECK(machine.load(*state).has_value());
    for (uint64_t i = 1; i <= n; ++i) open(i);
  }
  static chunk::ClusterStoreOptions options(size_t copies) {
    chunk::ClusterStoreOptions out;
    out.copies = copies;
    out.keep = chunk::ClusterStoreOptions::Keep::Never;  // only what is pulled comes here
    out.sessions_every = std::chrono::hours(1);          // the tests say when
    return out;
  }
  void open(uint64_t i) {
    Side& side = sides[i];
    chunk::ClusterStore& store = cluster.store(i);
    side.nodes = std::make_unique<tree::CachedNodes>(store, tree::CacheOptions{});
    side.repository =
        std::make_unique<volume::Repository>(group, *state, machine.published(), store, *side.nodes, clock);
    side.holdings = std::make_unique<Holdings>(side.counts, store, logger);
    side.collector =
        std::make_unique<Collector>([this] { return look(); }, side.counts, store, clock, side.holdings.get());
  }
  Result<std::unique_ptr<replica::Reader>> look() { return state->snapshot(); }
  void stop(uint64_t i) {
    Side& side = sides[i];
    side.collector.reset();
    side.holdings.reset();
    side.repository.reset();
    side.nodes.reset();
    cluster.stop(i);
  }
  /// What the roster says when that node has registered again: its earlier terms are over.
  void start(uint64_t i) {
    cluster.start(i);
    cluster.connect();
    for (uint64_t other = 1; other <= cluster.size(); ++other) {
      if (!cluster[other].running()) continue;
      cluster.store(other).sessions()->fence(NodeId(i), cluster[i].term);
      if (other != i) cluster.store(i).sessions()->fence(NodeId(other), cluster[other].term);
    }
    open(i);
    tell();
  }
  void tell() {
    for (int rounds = 0; rounds < 2; ++rounds)
      for (uint64_t i = 1; i <= cluster.size(); ++i)
        if (cluster[i].running()) cluster.store(i).tell_sessions();
  }
  void wipe(uint64_t i) {
    for (const std::string& name : cluster[i].disk.list("/store").value())
      ASSERT_TRUE(cluster[i].disk.remove("/store/" + name));
  }
  void set_state(uint64_t i, StoreState to) {
    auto stores = cluster.stores();
    stores[i - 1].state = to;
    cluster.set_stores(stores);
  }

  void put(uint64_t node, Bytes key, ByteView bytes) {
    Side& side = sides[node];
    const auto session = cluster.store(node).begin_writes();
    volume::Entry entry;
    entry.content = write(node, bytes);
    ASSERT_TRUE(cluster.store(node).sync());
    ASSERT_TRUE(side.repository->write(caller, *side.repository->resolve("vol"), {}, {{std::move(key), entry}}));
  }
  chunk::Content write(uint64_t node, ByteView bytes) {
    const auto content = chunk::write_content(
        cluster.store(node),
        {.min_bytes = 256, .average_bytes = 1024, .max_bytes = 4096, .compress = chunk::Compress::Never}, bytes);
    EXPECT_TRUE(content) << content.error().message;
    return content.value_or(chunk::Content());
  }
  void remove(uint64_t node, Bytes key) {
    volume::Repository& repository = *sides[node].repository;
    ASSERT_TRUE(repository.write(caller, *repository.resolve("vol"), {}, {{std::move(key), std::nullopt}}));
  }
  void seal(uint64_t node) {
    volume::Repository& repository = *sides[node].repository;
    const auto session = cluster.store(node).begin_writes();
    const auto sealed = repository.seal(**repository.volume("vol"), volume::kHeadLayer);
    ASSERT_TRUE(sealed) << sealed.error().message;
  }
  CollectReport run(uint64_t node, uint64_t window = 0) {
    Side& side = sides[node];
    const auto report = side.collector->run_once({.trash_window_seconds = window}, never, [](auto, auto) {});
    EXPECT_TRUE(report) << report.error().message;
    if (!report) return {};
    side.run = report->run;
    return *report;
  }
  /// To the list's end; how many chunks came.
  uint64_t fill(uint64_t node) {
    uint64_t chunks = 0;
    for (;;) {
      const auto slice = sides[node].holdings->fill(1u << 30, sides[node].run, never);
      EXPECT_TRUE(slice) << slice.error().message;
      if (!slice) return chunks;
      chunks += slice->chunks;
      if (slice->ended) return chunks;
    }
  }
  Holdings::Status status(uint64_t node) { return sides[node].holdings->status(); }

  /// All that the state refers to, read from `node`.
  std::set<ChunkId> referred(uint64_t node) {
    std::set<ChunkId> out;
    chunk::ClusterStore& store = cluster.store(node);
    tree::CachedNodes nodes(store, tree::CacheOptions{});
    const auto content_of = [&](const chunk::Content& content) {
      return chunk::for_each_chunk(store, content, [&](const ChunkId& id) { out.insert(id); });
    };
    EXPECT_TRUE(volume::for_each_unsealed(*state, [&](ByteView, const chunk::Content& c) { return content_of(c); }));
    const auto walked = volume::for_each_root(*state, [&](const volume::RootRef& ref) {
      const auto note = [&](const ChunkId& id) -> Result<void> {
        out.insert(id);
        return {};
      };
      return tree::for_each_new_node(nodes, {}, ref.root, note, [&](ByteView, ByteView value) -> Result<void> {
        TRY(const auto entry, volume::Entry::decode(value));
        return volume::for_each_content(entry, content_of);
      });
    });
    EXPECT_TRUE(walked) << walked.error().message;
    return out;
  }
  /// Each chunk is on the stores that should have it and, where `exactly`, on no other.
  void expect_placed(uint64_t node, bool exactly = true) {
    const auto all = referred(node);
    ASSERT_FALSE(all.empty());
    for (const ChunkId& id : all) {
      const auto targets = cluster.store(node).placement()->targets(id);
      for (uint64_t i = 1; i <= cluster.size(); ++i) {
        if (!cluster[i].running()) continue;
        const bool target = std::ranges::find(targets, NodeId(i)) != targets.end();
        if (target || exactly) ASSERT_EQ(cluster.holds(i, id), target) << "node " << i << " chunk " << id.hex();
      }
    }
  }
  void expect_right_counts() {
    for (auto& [i, side] : sides) {
      if (!side.collector) continue;
      const auto verified = side.collector->verify(never);
      EXPECT_TRUE(verified) << "node " << i << ": " << verified.error().message;
    }
  }
  void create() {
    ASSERT_TRUE(sides[1].repository->submit(caller, volume::CreateVolume{"vol", {.grace_seconds = 0}, {}}));
  }
  void put_some(uint64_t node, uint64_t from, uint64_t n) {
    for (uint64_t i = from; i < from + n; ++i) put(node, "key" + std::to_string(i), chunk::noise(9000, i));
  }

  const Holdings::Stop never = [] { return false; };
  NullLogger logger;
  volume::testing::ManualClock clock;
  std::unique_ptr<replica::Database> state = replica::make_memory_database();
  volume::Machine machine;
  volume::testing::InlineGroup group{*state, machine};
  chunk::TestCluster cluster;
  std::map<uint64_t, Side> sides;
  volume::Caller caller{"tester", {}};
};

class FourNodes : public Nodes {
 protected:
  FourNodes() : Nodes(4, 2) {}
};

class TwoNodesOneCopy : public Nodes {
 protected:
  TwoNodesOneCopy() : Nodes(2, 1) {}
};

TEST_F(Nodes, WhoWasDownPullsWhatItMissed) {
  create();
  put_some(1, 0, 5);
  run(3);
  stop(3);
  put_some(1, 5, 5);
  seal(1);
  put_some(2, 10, 5);  // and some that no tree names yet
  start(3);
  EXPECT_GT(run(3).roots_added, 0u);
  const uint64_t lacking = status(3).lacking;
  EXPECT_GT(lacking, 50u);
  EXPECT_EQ(fill(3), lacking);
  EXPECT_EQ(status(3).lacking, 0u);
  expect_placed(3);
  run(3);
  EXPECT_EQ(status(3).lacking, 0u);
  expect_right_counts();
}

TEST_F(Nodes, AWipedNodeFillsAndGoesOnWhereItWasStopped) {
  create();
  put_some(1, 0, 20);
  seal(1);
  for (const bool counts_too : {true, false}) {
    run(3);
    fill(3);
    stop(3);
    wipe(3);
    if (counts_too) sides[3].counts.lose();
    start(3);
    run(3);
    run(3);
    const uint64_t all = status(3).lacking;
    EXPECT_EQ(all, referred(1).size());
    // Some of it, then it stops once more.
    EXPECT_FALSE(sides[3].holdings->fill(1, sides[3].run, never)->ended);
    stop(3);
    start(3);
    EXPECT_TRUE(sides[3].holdings->anything_to_fill().value());
    const uint64_t left = status(3).lacking;
    EXPECT_LT(left, all);
    EXPECT_EQ(fill(3), left) << "nothing is read twice";
    expect_placed(3);
    expect_right_counts();
  }
}

TEST_F(FourNodes, CopiesOfAStoreThatIsLostAreMadeElsewhere) {
  create();
  put_some(1, 0, 30);
  seal(1);
  for (uint64_t i = 1; i <= 4; ++i) run(i);
  stop(4);
  set_state(4, StoreState::Out);
  uint64_t pulled = 0;
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_TRUE(sides[i].holdings->survey_due().value());
    run(i);
    EXPECT_FALSE(sides[i].holdings->survey_due().value());
    pulled += fill(i);
  }
  expect_placed(1);
  EXPECT_LT(pulled, referred(1).size() * 3 / 4) << "only what it had: about half of all chunks";
  expect_right_counts();
}

TEST_F(FourNodes, ADrainedStoreSaysWhenItMayGo) {
  create();
  put_some(1, 0, 20);
  seal(1);
  put_some(1, 20, 5);
  for (uint64_t i = 1; i <= 4; ++i) run(i);
  EXPECT_FALSE(status(4).removable()) << "it is in use";
  set_state(4, StoreState::Draining);
  run(4);
  EXPECT_GT(status(4).surplus_needed, 10u);
  EXPECT_FALSE(status(4).removable());
  run(1), fill(1), run(2), fill(2);
  stop(3);
  run(4);
  EXPECT_GT(status(4).surplus_needed, 0u) << "node 3 can't say that it has its part";
  EXPECT_FALSE(status(4).removable());
  start(3);
  run(3), fill(3);
  tell();
  EXPECT_GT(run(4).shed, 0u);
  EXPECT_TRUE(status(4).removable());
  EXPECT_EQ(status(4).surplus, 0u);
  expect_placed(1);
  expect_right_counts();
}

TEST_F(FourNodes, ANewStoreGetsItsShareAndTheOthersLetGoOfIt) {
  create();
  auto stores = cluster.stores();
  cluster.set_stores({stores[0], stores[1], stores[2]});
  put_some(1, 0, 30);
  seal(1);
  for (uint64_t i = 1; i <= 3; ++i) run(i);
  cluster.set_stores(stores);
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(run(i).shed, 0u) << "nobody else has it yet";
    fill(i);
  }
  run(4), fill(4);
  tell();
  uint64_t shed = 0;
  for (uint64_t i = 1; i <= 3; ++i) shed += run(i).shed;
  EXPECT_GT(shed, 0u);
  expect_placed(1);
  expect_right_counts();
}

TEST_F(FourNodes, WhatAnOpenSessionCountsOnStays) {
  create();
  put_some(1, 0, 20);
  seal(1);
  tell();
  for (uint64_t i = 1; i <= 4; ++i) run(i);
  set_state(4, StoreState::Draining);
  for (uint64_t i = 1; i <= 3; ++i) run(i), fill(i);
  auto session = cluster.store(4).begin_writes();
  std::vector<ChunkId> here;
  for (const ChunkId& id : referred(1))
    if (cluster.holds(4, id)) here.push_back(id);
  ASSERT_FALSE(here.empty());
  ASSERT_TRUE(cluster[4].local->touch(here));
  EXPECT_EQ(run(4).shed, 0u);
  EXPECT_EQ(status(4).surplus, here.size());
  EXPECT_TRUE(status(4).removable()) << "its copies are not needed";
  session.reset();
  EXPECT_EQ(run(4).shed, here.size());
}

TEST_F(TwoNodesOneCopy, OfTwoThatHoldEachOtherForTheRightPlaceOneKeepsIt) {
  create();
  put(1, "key", chunk::noise(300, 1));
  seal(1);
  const auto all = referred(1);
  tell();
  std::map<ChunkId, chunk::StoredChunk> chunks;
  for (const ChunkId& id : all) chunks[id] = cluster.store(1).get_stored(id).value();
  for (uint64_t i = 1; i <= 2; ++i) {
    run(i);
    auto stores = cluster.stores();
    stores[i - 1].state = StoreState::Draining;
    ASSERT_TRUE(cluster.store(i).set_stores(stores));
    for (const auto& [id, each] : chunks) ASSERT_TRUE(cluster[i].local->put_stored(id, each.view()));
  }
  std::map<uint64_t, chunk::CollectionToken> tokens;
  for (uint64_t i = 1; i <= 2; ++i) {
    replica::Batch batch;
    ASSERT_TRUE(sides[i].holdings->check(std::vector<ChunkId>(all.begin(), all.end()), batch));
    ASSERT_TRUE(sides[i].counts.write(batch));
    tokens[i] = cluster.store(i).begin_collection().value();
  }
  EXPECT_EQ(sides[1].holdings->shed(&tokens[1], never)->chunks, all.size());
  EXPECT_EQ(sides[2].holdings->shed(&tokens[2], never)->chunks, 0u);
  for (const ChunkId& id : all) EXPECT_EQ(cluster.copies(id), 1u);
}

TEST_F(Nodes, AChunkThatNobodyHasIsToldAndHoldsUpNothing) {
  create();
  put_some(1, 0, 10);
  seal(1);
  run(3);
  const std::set<ChunkId> all = referred(1);
  const auto entry = sides[1].repository->open(*sides[1].repository->resolve("vol")).value()->get("key3").value();
  const ChunkId gone = entry->content.refs[0].id;
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(cluster[i].local->erase(std::span(&gone, 1)));
  stop(3);
  wipe(3);
  start(3);
  run(3);
  run(3);
  EXPECT_EQ(fill(3), all.size() - 1);
  EXPECT_EQ(status(3).lacking, 1u);
  EXPECT_EQ(status(3).lost, 0u) << "it may have been let go since the run";
  run(3);
  fill(3);
  EXPECT_EQ(status(3).lost, 1u);
  remove(1, "key3");
  seal(1);
  run(3);
  fill(3);
  EXPECT_EQ(status(3).lost + status(3).lacking, 0u) << "nothing refers to it any more";
}

TEST_F(Nodes, StoresThatDoNotAnswerAreWaitedFor) {
  create();
  put_some(1, 0, 10);
  seal(1);
  run(3);
  stop(3);
  wipe(3);
  start(3);
  run(3);
  run(3);
  ASSERT_GT(status(3).lacking, 0u);
  cluster.cut_off(3);
  EXPECT_EQ(fill(3), 0u);
  EXPECT_EQ(status(3).not_reached, status(3).lacking);
  EXPECT_EQ(status(3).lost, 0u);
  cluster.mend(3, 1);
  fill(3);
  EXPECT_EQ(status(3).lacking, 0u);
}

TEST_F(Nodes, DamagedChunksArePulledAgain) {
  create();
  put_some(1, 0, 20);
  seal(1);
  run(3);
  ASSERT_TRUE(cluster[3].disk.flip("/store/00000001.seg", 30'000));
  const auto scrubbed = cluster[3].local->scrub({}, 1u << 30, never);
  ASSERT_TRUE(scrubbed);
  ASSERT_EQ(scrubbed->damaged, 1u);
  std::vector<ChunkId> damaged;
  for (const auto& damage : cluster[3].local->quarantine()) damaged.push_back(damage.id);
  ASSERT_TRUE(sides[3].holdings->found_damaged(damaged));
  EXPECT_EQ(status(3).lacking, 1u);
  EXPECT_EQ(fill(3), 1u);
  EXPECT_TRUE(cluster[3].local->quarantine().empty());
  expect_placed(3);
}

TEST_F(Nodes, CountsAndFillsWhileNothingMayBeErased) {
  create();
  put_some(1, 0, 10);
  seal(1);
  stop(3);
  wipe(3);
  cluster.start(3);
  cluster.connect();
  open(3);
  cluster.store(3).sessions()->set_writers({NodeId(1), NodeId(2), NodeId(9)});
  remove(1, "key0");
  seal(1);
  const auto report = run(3);
  EXPECT_THAT(report.blocked, HasSubstr("collection waits for node-"));
  EXPECT_EQ(report.erased, 0u);
  EXPECT_GT(status(3).lacking, 0u);
  fill(3);
  expect_placed(3, false);
  expect_right_counts();
}

// A writer on node 1 counts on a chunk that nothing refers to any more, while the others collect; then it dies.
TEST_F(Nodes, AWriterThatDiesAndANodeThatWasAwayLoseAndResurrectNothing) {
  create();
  const Bytes shared = chunk::noise(900, 77);
  put(1, "shared", shared);
  seal(1);
  tell();
  for (uint64_t i = 1; i <= 3; ++i) run(i);
  const ChunkId id = write(1, shared).refs[0].id;
  tell();
  auto session = cluster.store(1).begin_writes();
  ASSERT_TRUE(cluster.store(1).touch(std::span(&id, 1))->at(0));
  remove(2, "shared");
  seal(2);
  for (uint64_t i = 2; i <= 3; ++i) {
    EXPECT_GT(run(i).held, 0u) << "node 1 may commit it yet";
    EXPECT_TRUE(cluster.holds(i, id));
  }
  // Its commit arrives, and it dies: nothing but the state says that the chunk is needed.
  volume::Entry entry;
  entry.content = write(1, shared);
  ASSERT_TRUE(sides[1].repository->write(caller, *sides[1].repository->resolve("vol"), {}, {{"again", entry}}));
  stop(1);
  session.reset();
  for (int rounds = 0; rounds < 3; ++rounds) {
    put_some(2, 100 + 10 * static_cast<uint64_t>(rounds), 5);
    if (rounds > 0) remove(2, "key" + std::to_string(100 + 10 * (rounds - 1)));
    seal(2);
    for (uint64_t i = 2; i <= 3; ++i) run(i);
    EXPECT_TRUE(cluster.holds(2, id));
  }
  remove(2, "again");
  seal(2);
  for (uint64_t i = 2; i <= 3; ++i) run(i);
  EXPECT_TRUE(cluster.holds(2, id)) << "its earlier life is not fenced: it may commit yet";
  start(1);  // in a higher term
  for (uint64_t i = 2; i <= 3; ++i) run(i);
  EXPECT_FALSE(cluster.holds(2, id));
  EXPECT_FALSE(cluster.holds(3, id));
  EXPECT_TRUE(cluster.holds(1, id)) << "it was away";
  // What only the returned node has must not come back through it.
  run(1);
  EXPECT_EQ(fill(1), status(1).filled_chunks);
  EXPECT_FALSE(cluster.holds(1, id));
  for (uint64_t i = 2; i <= 3; ++i) {
    run(i);
    EXPECT_EQ(fill(i), 0u);
  }
  tell();
  for (uint64_t i = 1; i <= 3; ++i) run(i);
  expect_placed(1);
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(cluster[i].local->stats().chunks, referred(1).size()) << "node " << i;
  expect_right_counts();
}

}  // namespace
}  // namespace hailstone::collect
