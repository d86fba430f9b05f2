#include "chunk/remote_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "chunk/cluster_for_tests.h"
#include "chunk/generations.h"
#include "chunk/remote_wire.h"
#include "chunk/test_bytes.h"

namespace hailstone::chunk {
namespace {

using net::NodeId;
using testing::HasSubstr;
using Hold = RemoteSessions::Hold;

constexpr NodeId kSelf(1), kTwo(2), kThree(3);

// ---- generations, at the writer ----

TEST(Generations, AMarkCoversEveryOpenSession) {
  const auto generations = std::make_shared<Generations>(7);
  EXPECT_EQ(generations->mark(), (WriterMark{.term = 7, .generation = 1, .ended = 0}));
  auto first = make_session(generations, nullptr);
  generations->advance();
  auto second = make_session(generations, nullptr);
  auto third = make_session(generations, nullptr);
  generations->advance();
  EXPECT_EQ(generations->mark(), (WriterMark{.term = 7, .generation = 3, .ended = 0}));
  first.reset();
  EXPECT_EQ(generations->mark(), (WriterMark{.term = 7, .generation = 3, .ended = 1}));
  second.reset();
  EXPECT_EQ(generations->mark().ended, 1u) << "one of that generation is open still";
  third.reset();
  EXPECT_EQ(generations->mark(), (WriterMark{.term = 7, .generation = 3, .ended = 2}));
}

// ---- at the store ----

class RemoteSessionsTest : public testing::Test {
 protected:
  RemoteSessionsTest() {
    id = store->put("old", Compress::Never).value();
    store->end_collection(store->begin_collection().value());
  }
  /// A put or touch of that generation.
  Result<void> touch(NodeId from, uint64_t term, uint64_t generation, uint64_t ended) {
    TRY_DO(sessions.heard(from, {term, generation, ended}, Hold::Yes));
    TRY_DO(store->touch(std::span(&id, 1)));
    return {};
  }
  bool collectable() {
    const auto token = store->begin_collection().value();
    const bool gone = store->collect(token, std::span(&id, 1)).value()[0];
    store->end_collection(token);
    if (gone) EXPECT_TRUE(store->put("old", Compress::Never));
    return gone;
  }

  std::unique_ptr<ChunkStore> store = make_memory_store();
  RemoteSessions sessions{kSelf, *store};
  ChunkId id;
};

TEST_F(RemoteSessionsTest, HoldWhatWasTouchedUntilTheWriterSaysThatItEnded) {
  ASSERT_TRUE(touch(kTwo, 1, 3, 2));
  EXPECT_FALSE(collectable());
  ASSERT_TRUE(sessions.heard(kTwo, {1, 4, 2}, Hold::No));
  EXPECT_FALSE(collectable());
  ASSERT_TRUE(sessions.heard(kThree, {1, 9, 8}, Hold::No)) << "another node's";
  EXPECT_FALSE(collectable());
  ASSERT_TRUE(sessions.heard(kTwo, {1, 4, 3}, Hold::No));
  EXPECT_EQ(sessions.held(), 0u);
  EXPECT_TRUE(collectable());
}

TEST_F(RemoteSessionsTest, ALateMarkHoldsNothing) {
  ASSERT_TRUE(sessions.heard(kTwo, {1, 6, 5}, Hold::No));
  ASSERT_TRUE(touch(kTwo, 1, 5, 2));
  EXPECT_EQ(sessions.held(), 0u);
}

TEST_F(RemoteSessionsTest, ANewTermDoesNotEndTheSessionsOfTheOldOne) {
  ASSERT_TRUE(touch(kTwo, 1, 3, 2));
  ASSERT_TRUE(sessions.heard(kTwo, {2, 9, 8}, Hold::No));
  EXPECT_FALSE(collectable());
  sessions.fence(kTwo, 2);
  EXPECT_TRUE(collectable());
}

TEST_F(RemoteSessionsTest, FencedTermsAreRefused) {
  sessions.fence(kTwo, 5);
  const auto refused = sessions.heard(kTwo, {4, 1, 0}, Hold::Yes);
  EXPECT_EQ(refused.error().code, Code::Denied);
  EXPECT_THAT(refused.error().message, HasSubstr("node-2 writes in term 4"));
  EXPECT_TRUE(sessions.heard(kTwo, {5, 1, 0}, Hold::Yes));
  sessions.fence(kTwo, 2);
  EXPECT_FALSE(sessions.heard(kTwo, {4, 1, 0}, Hold::Yes)) << "fences only rise";
  EXPECT_FALSE(sessions.heard(kThree, {0, 1, 0}, Hold::Yes)) << "no term";
}

TEST_F(RemoteSessionsTest, CollectionWaitsForSessionsFromBeforeTheStoreWasOpened) {
  EXPECT_FALSE(sessions.ready_to_collect()) << "nobody said who writes";
  sessions.set_writers({kSelf, kTwo});
  EXPECT_THAT(sessions.ready_to_collect().error().message, HasSubstr("node-1"));
  sessions.fence(kSelf, 4);
  EXPECT_THAT(sessions.ready_to_collect().error().message, HasSubstr("node-2: not heard of"));
  ASSERT_TRUE(sessions.heard(kTwo, {3, 7, 5}, Hold::No));
  EXPECT_THAT(sessions.ready_to_collect().error().message, HasSubstr("earlier terms"));
  sessions.fence(kTwo, 3);
  EXPECT_THAT(sessions.ready_to_collect().error().message, HasSubstr("sessions from before"));
  ASSERT_TRUE(sessions.heard(kTwo, {3, 9, 6}, Hold::No));
  EXPECT_FALSE(sessions.ready_to_collect());
  ASSERT_TRUE(sessions.heard(kTwo, {3, 9, 7}, Hold::No));
  EXPECT_TRUE(sessions.ready_to_collect());
  // A life of the node that began later has nothing from before.
  ASSERT_TRUE(sessions.heard(kTwo, {4, 1, 0}, Hold::Yes));
  EXPECT_TRUE(sessions.ready_to_collect());
}

TEST_F(RemoteSessionsTest, AFencedWriterIsNotWaitedFor) {
  sessions.set_writers({kTwo});
  ASSERT_TRUE(sessions.heard(kTwo, {3, 7, 5}, Hold::Yes));
  sessions.fence(kTwo, 4);
  EXPECT_TRUE(sessions.ready_to_collect());
}

// ---- through a cluster ----

/// Whether the store of that node lets the chunk go now.
bool collect(TestCluster& cluster, uint64_t node, const ChunkId& id) {
  const auto token = cluster.store(node).begin_collection();
  EXPECT_TRUE(token) << token.error().message;
  const bool gone = cluster.store(node).collect(*token, std::span(&id, 1)).value()[0];
  cluster.store(node).end_collection(*token);
  return gone;
}

class ClusterSessions : public testing::Test {
 protected:
  void SetUp() override {
    id = cluster.store(1).put("deduplicated", Compress::Never).value();
    ASSERT_TRUE(cluster.store(1).sync());
    ASSERT_TRUE(cluster.wait_for_copies(id, 3));
    for (uint64_t i = 1; i <= 3; ++i) cluster.store(i).end_collection(cluster.store(i).begin_collection().value());
  }
  /// On all three stores.
  bool touch(uint64_t node) {
    const bool present = cluster.store(node).touch(std::span(&id, 1)).value()[0];
    ++touches;
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(cluster.wait_for_touches(i, touches));
    return present;
  }

  static ClusterStoreOptions options() {
    ClusterStoreOptions out = patient();
    out.sessions_every = std::chrono::hours(1);  // the tests say when
    return out;
  }
  TestCluster cluster{3, options()};
  ChunkId id;
  int touches = 0;
};

TEST_F(ClusterSessions, WhatIsTouchedOnOneNodeIsCollectedOnNone) {
  auto session = cluster.store(1).begin_writes();
  const auto running = cluster.store(2).begin_collection().value();
  ASSERT_TRUE(touch(1));
  EXPECT_FALSE(cluster.store(2).collect(running, std::span(&id, 1)).value()[0]) << "touched while it ran";
  cluster.store(2).end_collection(running);
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_FALSE(collect(cluster, i, id)) << "touched before it began";
  cluster.store(1).tell_sessions();
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_FALSE(collect(cluster, i, id)) << "the session is open";
  auto later = cluster.store(1).begin_writes();
  session.reset();
  cluster.store(1).tell_sessions();
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(collect(cluster, i, id)) << "the later session did not touch it";
}

TEST_F(ClusterSessions, ALostConnectionEndsNoSession) {
  auto session = cluster.store(1).begin_writes();
  ASSERT_TRUE(touch(1));
  cluster.cut(1, 2);
  EXPECT_FALSE(collect(cluster, 2, id));
  session.reset();
  cluster.store(1).tell_sessions();
  EXPECT_FALSE(collect(cluster, 2, id)) << "it can't know";
  EXPECT_TRUE(collect(cluster, 3, id));
  cluster.mend(1, 2);
  cluster.store(1).tell_sessions();
  EXPECT_TRUE(collect(cluster, 2, id));
}

TEST_F(ClusterSessions, AWriterThatIsGoneHoldsItsChunksUntilItIsFenced) {
  auto session = cluster.store(1).begin_writes();
  ASSERT_TRUE(touch(1));
  const ChunkId fresh = cluster.store(1).put("fresh", Compress::Never).value();
  ASSERT_TRUE(cluster.store(1).sync());
  ASSERT_TRUE(cluster.wait_for_copies(fresh, 3));
  cluster.restart(1);
  session.reset();
  cluster.store(1).tell_sessions();
  EXPECT_FALSE(collect(cluster, 2, id)) << "a commit of its earlier life may still come";
  EXPECT_FALSE(collect(cluster, 2, fresh));
  cluster.store(2).sessions()->fence(NodeId(1), 2);
  EXPECT_TRUE(collect(cluster, 2, id));
  EXPECT_TRUE(collect(cluster, 2, fresh));
}

TEST_F(ClusterSessions, AFencedTermCannotPut) {
  cluster.store(2).sessions()->fence(NodeId(1), 9);
  cluster.store(3).sessions()->fence(NodeId(1), 9);
  const auto refused = cluster.store(1).put("late", Compress::Never);
  const auto error = refused ? cluster.store(1).sync().error() : refused.error();
  EXPECT_THAT(error.message, HasSubstr("node-1 writes in term 1, and those below 9 are over"));
  EXPECT_EQ(cluster.copies(ChunkId(sha256("late"))), 1u) << "its own";
}

TEST_F(ClusterSessions, AStoreOpenedAnewIsNotCollectedWhileOlderSessionsAreOpen) {
  auto session = cluster.store(1).begin_writes();
  ASSERT_TRUE(touch(1));
  cluster.restart(2);
  cluster.store(2).sessions()->set_writers({NodeId(1), NodeId(3)});
  cluster.store(1).tell_sessions();
  cluster.store(3).tell_sessions();
  cluster.store(3).tell_sessions();
  EXPECT_THAT(cluster.store(2).begin_collection().error().message, HasSubstr("node-1"));
  session.reset();
  cluster.store(1).tell_sessions();
  EXPECT_TRUE(collect(cluster, 2, id));
}

TEST_F(ClusterSessions, AStoreTakesNoBytesThatAreNotThoseOfTheName) {
  const ChunkId name(sha256("something else"));
  const NamedChunk chunk{name, {.bytes = 4, .zstd = false, .payload = "this"}};
  const WriterMark mark{.term = 1, .generation = 1, .ended = 0};
  const auto answer = cluster[1].rpc->call_and_wait(NodeId(2), static_cast<uint16_t>(RemoteMethod::Put),
                                                    encode_put(mark, std::span(&chunk, 1)), std::chrono::seconds(60));
  const auto failures = read_put_answer(answer.value()).value();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].error.code, Code::Corrupt);
  EXPECT_FALSE(cluster.holds(2, name));
}

// Writers on two nodes commit chunks that were there already; each store collects what no commit names. A chunk that
// was touched and then committed is on a quorum until it is given up.
TEST_F(ClusterSessions, NoTouchedChunkIsErasedBeforeItsCommit) {
  constexpr int kChunks = 8;
  std::vector<Bytes> bytes;
  std::vector<ChunkId> ids;
  for (int i = 0; i < kChunks; ++i) {
    bytes.push_back("shared " + std::to_string(i));
    ids.emplace_back(sha256(bytes.back()));
  }
  std::mutex mutex;
  std::multiset<ChunkId> committed;
  std::atomic<int> working = 2, deduplicated = 0;
  std::vector<std::thread> threads;
  for (uint64_t node = 1; node <= 2; ++node)
    threads.emplace_back([&, node] {
      ClusterStore& store = cluster.store(node);
      const std::shared_ptr<void> done(nullptr, [&](void*) { --working; });
      for (size_t i = 0; i < 150; ++i) {
        const size_t k = (i * 5 + node) % kChunks;
        {
          const auto session = store.begin_writes();
          const auto there = store.touch(std::span(&ids[k], 1));
          ASSERT_TRUE(there) << there.error().message;
          if (there->at(0)) {
            ++deduplicated;
          } else {
            ASSERT_TRUE(store.put(bytes[k], Compress::Never));
            ASSERT_TRUE(store.sync());
          }
          const std::lock_guard lock(mutex);
          committed.insert(ids[k]);
        }
        ASSERT_GE(cluster.copies(ids[k]), 2u) << "committed, and gone";
        const std::lock_guard lock(mutex);
        committed.erase(committed.find(ids[k]));
      }
    });
  for (uint64_t node = 2; node <= 3; ++node)
    threads.emplace_back([&, node] {
      while (working > 0) {
        for (uint64_t i = 1; i <= 2; ++i) cluster.store(i).tell_sessions();
        const auto token = cluster.store(node).begin_collection();
        ASSERT_TRUE(token);
        std::vector<ChunkId> garbage;
        {
          const std::lock_guard lock(mutex);
          for (const ChunkId& each : ids)
            if (!committed.contains(each)) garbage.push_back(each);
        }
        ASSERT_TRUE(cluster.store(node).collect(*token, garbage));
        cluster.store(node).end_collection(*token);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_GT(deduplicated, 0);
}

}  // namespace
}  // namespace hailstone::chunk
