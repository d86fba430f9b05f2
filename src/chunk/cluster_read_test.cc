#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunk/cluster_for_tests.h"

namespace hailstone::chunk {
namespace {

using net::NodeId;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

// ---- reading ----

TEST(ClusterRead, ANodeWithoutAStoreWritesAndReads) {
  TestCluster cluster(4, patient(), {4});
  const Bytes bytes = noise(9000, 4);
  const ChunkId id = put(cluster.store(4), bytes);
  expect_bytes(cluster.store(4), id, bytes);
  ASSERT_TRUE(cluster.store(4).sync());
  expect_bytes(cluster.store(4), id, bytes);
  EXPECT_EQ(cluster.store(4).stat(id)->bytes, 9000u);
  EXPECT_TRUE(touch(cluster.store(4), id));
  EXPECT_EQ(cluster.store(4).list({}, 10).value(), std::vector{id});
  EXPECT_EQ(cluster.store(4).extent(id, ChunkStore::Form::Plain, 0, 1).error().code, Code::Unsupported);
  EXPECT_EQ(cluster.store(4).begin_collection().error().code, Code::Unsupported);
}

TEST(ClusterRead, ADamagedCopyIsReadElsewhereAndMended) {
  TestCluster cluster(3);
  const Bytes bytes = noise(30'000, 1);
  const ChunkId id = put(cluster.store(1), bytes);
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  ASSERT_TRUE(cluster[1].local->sync());
  ASSERT_TRUE(cluster[1].disk.flip("/store/00000001.seg", 9000, 0x55, 100));
  ASSERT_EQ(cluster[1].local->get(id).error().code, Code::Corrupt);
  expect_bytes(cluster.store(1), id, bytes);
  EXPECT_EQ(cluster.store(1).metrics().healed, 1u);
  EXPECT_TRUE(**cluster[1].local->get(id) == bytes);
  EXPECT_TRUE(cluster[1].local->quarantine().empty());
}

TEST(ClusterRead, ALyingStoreIsNotBelieved) {
  TestCluster cluster(4, patient(), {4});
  const auto placement = cluster.store(4).placement();
  const Bytes bytes = bytes_for(*placement, {1, 2, 3});
  const ChunkId id = put(cluster.store(4), bytes);
  ASSERT_TRUE(cluster.store(4).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  cluster[1].faulty->lie = [](StoredChunk& chunk) { chunk.payload[7] ^= 1; };
  cluster[2].faulty->lie = [](StoredChunk& chunk) { chunk.zstd = true; };
  expect_bytes(cluster.store(4), id, bytes);
  EXPECT_EQ(cluster.store(4).metrics().reads.damaged, 2u);
  cluster[3].faulty->before = refuse(Code::Corrupt, "segment 1: record at 64", "get");
  const auto none = cluster.store(4).get(id);
  EXPECT_EQ(none.error().code, Code::Corrupt);
  EXPECT_THAT(none.error().message, AllOf(HasSubstr("node-1"), HasSubstr("node-2"), HasSubstr("segment 1")));
}

TEST(ClusterRead, ASlowReadIsAskedOfTheNextStore) {
  Gate gate;
  ClusterStoreOptions options = patient();
  options.hedge.hedge_first = 1ms;
  TestCluster cluster(4, options, {4});
  const Bytes bytes = bytes_for(*cluster.store(4).placement(), {2});
  const ChunkId id = put(cluster.store(4), bytes);
  ASSERT_TRUE(cluster.store(4).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  cluster[2].faulty->before = hold(gate, "get");
  expect_bytes(cluster.store(4), id, bytes);
  EXPECT_GE(cluster.store(4).metrics().reads.hedged, 1u);
  gate.open();
}

TEST(ClusterRead, ReadsFromTheClosestStore) {
  TestCluster cluster(4, patient(), {4});
  auto stores = cluster.stores();
  for (StoreInfo& store : stores)
    store.place = store.id == NodeId(3) ? "s/r/h4" : "far/away/h" + std::to_string(store.id.value);
  cluster.set_stores(stores);
  const Bytes bytes = bytes_for(*cluster.store(4).placement(), {2});
  const ChunkId id = put(cluster.store(4), bytes);
  ASSERT_TRUE(cluster.store(4).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  for (const uint64_t i : {1, 2}) cluster[i].faulty->before = refuse(Code::Io, "not to be asked", "get");
  cluster[3].faulty->lie = [](StoredChunk&) {};
  expect_bytes(cluster.store(4), id, bytes);
  EXPECT_EQ(cluster.store(4).metrics().reads.hedged, 0u);
}

TEST(ClusterRead, ASlowStoreDoesNotHoldUpATouch) {
  Gate gate;
  TestCluster cluster(3);
  const ChunkId id = put(cluster.store(1), "here and there");
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  cluster[2].faulty->before = hold(gate, "touch");
  EXPECT_TRUE(touch(cluster.store(1), id));
  ASSERT_TRUE(gate.wait_for_waiting(1)) << "it was asked";
  gate.open();
}

TEST(ClusterRead, AbsentIsToldApartFromOutOfReach) {
  TestCluster cluster(3);
  const ChunkId none(sha256("none"));
  EXPECT_EQ(cluster.store(1).get(none).error().code, Code::NotFound);
  EXPECT_FALSE(touch(cluster.store(1), none));
  cluster.stop(2);
  EXPECT_EQ(cluster.store(1).get(none).error().code, Code::Unavailable);
  EXPECT_FALSE(touch(cluster.store(1), none)) << "a quorum says no";
  cluster.stop(3);
  EXPECT_EQ(cluster.store(1).touch(std::span(&none, 1)).error().code, Code::Unavailable);
  EXPECT_EQ(cluster.store(1).has(std::span(&none, 1)).error().code, Code::Unavailable);
}

TEST(ClusterRead, KeepsWhatItReadsOfItsOwn) {
  TestCluster cluster(3);
  cluster.stop(3);
  const Bytes bytes = noise(4000, 9);
  const ChunkId id = put(cluster.store(1), bytes);
  ASSERT_TRUE(cluster.store(1).sync());
  cluster.start(3);
  cluster.connect();
  expect_bytes(cluster.store(3), id, bytes);
  EXPECT_TRUE(cluster.holds(3, id));
  EXPECT_EQ(cluster.store(3).metrics().kept, 1u);
}

// ---- the list of stores ----

TEST(ClusterRead, ADrainingStoreIsReadFromAndGetsNothingNew) {
  TestCluster cluster(4);
  auto stores = cluster.stores();
  for (StoreInfo& store : stores) store.state = store.id == NodeId(2) ? StoreState::In : StoreState::Out;
  cluster.set_stores(stores);
  const Bytes bytes = noise(4000, 1);
  const ChunkId old = put(cluster.store(1), bytes);
  ASSERT_TRUE(cluster.store(1).sync());
  for (StoreInfo& store : stores) store.state = store.id == NodeId(2) ? StoreState::Draining : StoreState::In;
  cluster.set_stores(stores);
  expect_bytes(cluster.store(3), old, bytes);
  const ChunkId fresh = put(cluster.store(1), "new");
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(fresh, 3));
  EXPECT_FALSE(cluster.holds(2, fresh));
  EXPECT_FALSE(cluster.store(1).has(std::span(&old, 1)).value()[0]) << "no store that stays has it";
  EXPECT_TRUE(touch(cluster.store(1), old)) << "so it was copied";
  ASSERT_TRUE(cluster.wait_for_copies(old, 4));
  for (StoreInfo& store : stores)
    if (store.id == NodeId(2)) store.state = StoreState::Out;
  cluster.set_stores(stores);
  cluster[2].faulty->before = refuse(Code::Io, "not to be asked", "get");
  expect_bytes(cluster.store(4), old, bytes);
}

TEST(ClusterRead, ACellThatGrowsFindsWhatOneNodeHad) {
  TestCluster cluster(3);
  const auto all = cluster.stores();
  cluster.set_stores({all[0]});
  const Bytes bytes = noise(4000, 1);
  const ChunkId id = put(cluster.store(1), bytes);
  cluster.set_stores(all);
  ASSERT_TRUE(cluster.store(1).sync());
  cluster.crash(1);
  cluster.start(1);
  cluster.connect();
  expect_bytes(cluster.store(2), id, bytes);
  EXPECT_TRUE(touch(cluster.store(3), id));
  EXPECT_GE(cluster.copies(id), 2u);
}

}  // namespace
}  // namespace hailstone::chunk
