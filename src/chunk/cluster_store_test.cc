#include "chunk/cluster_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "chunk/cluster_for_tests.h"
#include "chunk/stored.h"
#include "chunk/test_bytes.h"

namespace hailstone::chunk {
namespace {

using net::NodeId;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

/// Fails once the gate is open: not while the put that leads there is still being taken.
auto refuse_behind(Gate& gate, Code code, const std::string& what, const std::string& on) {
  return [=, &gate](const std::string& call) -> Result<void> {
    if (call != on) return {};
    gate.wait();
    return fail(code, what);
  };
}

TEST(ClusterStore, KeepsEachChunkOnAllItsTargetsInOneForm) {
  TestCluster cluster(3);
  const Bytes bytes = prose(50'000, 1);
  const ChunkId id = put(cluster.store(1), bytes, Compress::Auto);
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
  for (uint64_t i = 1; i <= 3; ++i) {
    expect_bytes(cluster.store(i), id, bytes);
    EXPECT_TRUE(cluster[i].local->stat(id)->zstd);
    EXPECT_EQ(cluster[i].local->stat(id)->stored_bytes, cluster[1].local->stat(id)->stored_bytes);
  }
}

TEST(ClusterStore, WhatIsSyncedOutlivesAPowerCutOfAllStores) {
  TestCluster cluster(3);
  std::vector<std::pair<ChunkId, Bytes>> all;
  for (uint64_t i = 0; i < 40; ++i) {
    const Bytes bytes = noise(i * 500 + 1, i);
    all.emplace_back(put(cluster.store(1 + i % 3), bytes), bytes);
    ASSERT_TRUE(cluster.store(1 + i % 3).sync());
  }
  for (uint64_t i = 1; i <= 3; ++i) cluster.crash(i);
  for (uint64_t i = 1; i <= 3; ++i) cluster.start(i);
  cluster.connect();
  for (const auto& [id, bytes] : all) {
    EXPECT_GE(cluster.copies(id), 2u);
    expect_bytes(cluster.store(3), id, bytes);
  }
}

TEST(ClusterStore, GoesOnWithoutOneOfThreeStores) {
  TestCluster cluster(3);
  cluster.stop(3);
  const ChunkId id = put(cluster.store(1), "while one is down");
  ASSERT_TRUE(cluster.store(1).sync());
  EXPECT_EQ(cluster.copies(id), 2u);
  EXPECT_TRUE(touch(cluster.store(2), id));
  cluster.start(3);
  cluster.connect();
  EXPECT_EQ(cluster.store(3).fill(std::span(&id, 1))->chunks, 1u);
  EXPECT_TRUE(cluster.holds(3, id));
  EXPECT_EQ(cluster.store(3).fill(std::span(&id, 1))->chunks, 0u);
}

TEST(ClusterStore, SaysWhichStoresAreMissingWhenAQuorumIsDown) {
  TestCluster cluster(3);
  cluster.stop(2);
  cluster.stop(3);
  const auto id = cluster.store(1).put("nowhere to go", Compress::Never);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Code::Unavailable);
  EXPECT_THAT(id.error().message, AllOf(HasSubstr("node-2: not connected"), HasSubstr("node-3: not connected")));
  EXPECT_TRUE(cluster.store(1).sync()) << "it was refused, so nobody waits for it";
}

TEST(ClusterStore, ASyncThatCannotReachAQuorumSaysSoUntilItCan) {
  Gate gate;
  TestCluster cluster(3);
  for (const uint64_t i : {2, 3}) cluster[i].faulty->before = refuse_behind(gate, Code::Exhausted, "disk full", "put");
  const Bytes bytes = noise(5000, 1);
  const ChunkId id = put(cluster.store(1), bytes);
  gate.open();
  for (int round = 0; round < 2; ++round) {
    const auto synced = cluster.store(1).sync();
    ASSERT_FALSE(synced);
    EXPECT_EQ(synced.error().code, Code::Exhausted);
    EXPECT_THAT(synced.error().message, AllOf(HasSubstr(id.brief()), HasSubstr("durable on 1 of the 2"),
                                              HasSubstr("node-2: disk full"), HasSubstr("node-3: disk full")));
  }
  expect_bytes(cluster.store(1), id, bytes);
  EXPECT_TRUE(cluster.store(1).has(std::span(&id, 1)).value()[0]);
  for (const uint64_t i : {2, 3}) cluster[i].faulty->before = nullptr;
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(id, 3));
}

TEST(ClusterStore, AFailedSyncOfAStoreDoesNotCount) {
  Gate gate;
  TestCluster cluster(3);
  for (const uint64_t i : {2, 3})
    cluster[i].faulty->before = refuse_behind(gate, Code::Io, "the device is gone", "sync");
  put(cluster.store(1), "only placed");
  gate.open();
  EXPECT_THAT(cluster.store(1).sync().error().message, HasSubstr("the device is gone"));
}

TEST(ClusterStore, AFullDiskOnOneOfThreeCostsNothing) {
  TestCluster cluster(3);
  cluster[1].disk.set_capacity(0);
  for (uint64_t i = 0; i < 20; ++i) {
    const Bytes bytes = noise(20'000, i);
    const ChunkId id = put(cluster.store(1 + i % 3), bytes);
    ASSERT_TRUE(cluster.store(1 + i % 3).sync());
    EXPECT_EQ(cluster.copies(id), 2u);
    expect_bytes(cluster.store(1), id, bytes);
  }
}

TEST(ClusterStore, AnotherStoreStandsInWhereAQuorumWouldBeMissing) {
  TestCluster cluster(5);
  const auto placement = cluster.store(1).placement();
  const Bytes bytes = bytes_for(*placement, {1, 2, 3});
  const ChunkId id(sha256(bytes));
  cluster.stop(2);
  cluster[3].faulty->before = refuse(Code::Exhausted, "disk full", "put");
  put(cluster.store(1), bytes);
  ASSERT_TRUE(cluster.store(1).sync());
  EXPECT_EQ(cluster.copies(id) - (cluster.holds(1, id) ? 1 : 0), 1u);
  EXPECT_TRUE(cluster.holds(4, id) || cluster.holds(5, id));
  EXPECT_EQ(cluster.store(1).metrics().writes.stand_ins, 1u);
  expect_bytes(cluster.store(3), id, bytes);
  EXPECT_TRUE(touch(cluster.store(3), id));
}

TEST(ClusterStore, ASlowStoreHoldsNobodyUpAndTakesBoundedMemory) {
  Gate gate;
  ClusterStoreOptions options = patient();
  options.replicator.queue_bytes_max = 100'000;
  TestCluster cluster(3, options);
  cluster[3].faulty->before = hold(gate, "put");
  for (uint64_t i = 0; i < 100; ++i) {
    put(cluster.store(1), noise(20'000, i));
    ASSERT_TRUE(cluster.store(1).sync());
  }
  EXPECT_GE(cluster.store(1).metrics().writes.missed_copies, 90u);
  EXPECT_EQ(cluster.store(1).metrics().writes.unsettled, 0u);
  gate.open();
}

TEST(ClusterStore, PutsWaitForStoresThatAQuorumNeeds) {
  Gate gate;
  ClusterStoreOptions options = patient();
  options.replicator.queue_bytes_max = options.replicator.unsettled_bytes_max = 100'000;
  TestCluster cluster(3, options);
  cluster.stop(3);
  cluster[2].faulty->before = hold(gate, "put");
  std::atomic<int> puts = 0;
  std::thread writer([&] {
    for (uint64_t i = 0; i < 20; ++i) {
      put(cluster.store(1), noise(20'000, i));
      ++puts;
    }
  });
  ASSERT_TRUE(gate.wait_for_waiting(1));
  EXPECT_LE(puts, 6);
  EXPECT_LE(cluster.store(1).metrics().writes.unsettled_bytes, 120'000u);
  gate.open();
  writer.join();
  EXPECT_TRUE(cluster.store(1).sync());
}

TEST(ClusterStore, EveryAcknowledgedChunkIsThereWhileConnectionsComeAndGo) {
  ClusterStoreOptions options = patient();
  options.patience = 300ms;
  TestCluster cluster(3, options);
  std::atomic<int> working = 2;
  std::mutex mutex;
  std::vector<std::pair<ChunkId, Bytes>> acknowledged;
  std::vector<std::thread> writers;
  for (uint64_t t = 0; t < 2; ++t)
    writers.emplace_back([&, t] {
      for (uint64_t i = 0; i < 200; ++i) {
        const Bytes bytes = noise(100 + i * 37, t * 1000 + i);
        while (true) {
          const auto id = cluster.store(1 + t).put(bytes, Compress::Never);
          if (!id || !cluster.store(1 + t).sync()) continue;
          const std::lock_guard lock(mutex);
          acknowledged.emplace_back(*id, bytes);
          break;
        }
      }
      --working;
    });
  for (uint64_t round = 0; working > 0; ++round) {
    const uint64_t a = 1 + round % 3, b = 1 + (round + 1) % 3;
    cluster.cut(a, b);
    std::this_thread::yield();
    cluster.mend(a, b);
  }
  for (auto& writer : writers) writer.join();
  for (uint64_t i = 1; i <= 3; ++i) cluster.crash(i);
  for (uint64_t i = 1; i <= 3; ++i) cluster.start(i);
  cluster.connect();
  ASSERT_EQ(acknowledged.size(), 400u);
  for (const auto& [id, bytes] : acknowledged) {
    EXPECT_GE(cluster.copies(id), 2u);
    expect_bytes(cluster.store(3), id, bytes);
  }
}

}  // namespace
}  // namespace hailstone::chunk
