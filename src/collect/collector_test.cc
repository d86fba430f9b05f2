#include "collect/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "collect/test_workload.h"

namespace hailstone::collect {
namespace {

using chunk::noise;
using testing::Cell;
using ::testing::ElementsAre;
using testing::expect_exact;
using ::testing::HasSubstr;
using testing::never;
using testing::Workload;

TEST(Collector, ErasesWhatNothingRefersToAndKeepsTheRest) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(9000, 1));
  cell.put("repo", "b", noise(9000, 2));
  cell.release("repo", true);
  ASSERT_TRUE(cell.chunks->put(noise(5000, 3), chunk::Compress::Never)) << "an upload that came to nothing";
  const auto report = cell.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(report->erased, 1u);
  EXPECT_TRUE(report->recounted);
  cell.expect_whole();
  EXPECT_EQ(cell.stored(), cell.reachable());
  const auto verified = cell.collector->verify(never);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(*verified, cell.reachable().size());
  const auto again = cell.run();
  EXPECT_EQ(again->counted, 0u) << "nothing changed, nothing to count";
  EXPECT_EQ(again->erased, 0u);
}

TEST(Collector, UnsealedEditsKeepTheirChunks) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(9000, 1));
  const auto first = cell.run();
  EXPECT_EQ(first->erased, 0u);
  EXPECT_GT(first->pinned, 0u);
  cell.expect_whole();
  cell.remove("repo", "a");
  EXPECT_GT(cell.run()->erased, 0u);
  EXPECT_TRUE(cell.stored().empty());
}

TEST(Collector, TheTrashWindowHoldsWhatIsDead) {
  Cell cell;
  cell.create("repo");
  ASSERT_TRUE(cell.chunks->put(noise(5000, 3), chunk::Compress::Never));
  EXPECT_EQ(cell.run(1000)->erased, 0u);
  cell.clock.advance_seconds(900);
  EXPECT_EQ(cell.run(1000)->erased, 0u);
  EXPECT_THAT(cell.collector->why(ChunkId(sha256(noise(5000, 3))), 9).value(),
              ElementsAre(HasSubstr("in the trash since")));
  cell.clock.advance_seconds(-5000);
  EXPECT_EQ(cell.run(1000)->erased, 0u) << "a clock set back frees nothing early";
  cell.clock.advance_seconds(5101);
  const auto dry = cell.collector->run_once({.trash_window_seconds = 1000, .dry_run = true}, never,
                                            [](std::string_view, uint64_t) {});
  EXPECT_EQ(dry->erased, 1u);
  EXPECT_EQ(cell.stored().size(), 1u);
  const auto real = cell.run(1000);
  EXPECT_EQ(real->erased, 1u);
  EXPECT_EQ(real->erased_bytes, 5000u);
  EXPECT_TRUE(cell.stored().empty());
}

TEST(Collector, WhatComesBackLeavesTheTrash) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(3000, 1));
  cell.release("repo");
  cell.run(1000);
  cell.remove("repo", "a");
  cell.put("repo", "c", noise(300, 4));
  cell.release("repo");
  cell.clock.advance_seconds(500);  // the first release is still there
  cell.run(1000);
  cell.create("other");
  cell.put("other", "x", noise(3000, 1));
  cell.release("other");
  ASSERT_TRUE(cell.repository->submit(cell.caller, volume::DeleteVolume{"repo"}));
  cell.run(1000);
  cell.clock.advance_seconds(2000);
  EXPECT_GT(cell.run(1000)->erased, 0u);
  cell.expect_whole();
  EXPECT_EQ(cell.stored(), cell.reachable());
}

TEST(Collector, AnOpenSessionHoldsWhatItPutAndTouched) {
  Cell cell;
  cell.create("repo");
  const Bytes old = noise(250, 1), fresh = noise(250, 2);  // one chunk each
  ASSERT_TRUE(cell.chunks->put(old, chunk::Compress::Never));
  cell.run(1'000'000);  // the old one is in the trash, the next run has a horizon beyond it
  auto session = cell.chunks->begin_writes();
  const auto a = cell.file(old), b = cell.file(fresh);
  const auto held = cell.run();
  EXPECT_EQ(held->erased, 0u);
  EXPECT_GE(held->held, 2u);
  EXPECT_EQ(held->sessions, 1u);
  cell.commit("repo", "a", a);
  cell.commit("repo", "b", b);
  session.reset();
  cell.run();
  cell.expect_whole();
  EXPECT_EQ(cell.stored(), cell.reachable());
}

TEST(Collector, ALostDatabaseIsCountedAnew) {
  Cell cell;
  cell.create("repo");
  for (int i = 0; i < 20; ++i) cell.put("repo", "key" + std::to_string(i), noise(3000, i));
  cell.release("repo", true);
  cell.run();
  cell.counts.lose();
  ASSERT_TRUE(cell.chunks->put(noise(5000, 99), chunk::Compress::Never));
  const auto report = cell.run();
  EXPECT_TRUE(report->recounted);
  cell.expect_whole();
  EXPECT_EQ(cell.stored(), cell.reachable());
}

// Damage must not be taken for death: what an unreadable node refers to is unknown, so nothing is erased.
TEST(Collector, AMissingChunkStopsErasing) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(9000, 1));
  cell.release("repo");
  const ChunkId root = cell.repository->release(*cell.repository->volume("repo").value(), ReleaseNumber(1))->root.id;
  ASSERT_TRUE(cell.chunks->erase(std::vector{root}));
  ASSERT_TRUE(cell.chunks->put(noise(5000, 3), chunk::Compress::Never));
  const auto before = cell.stored();
  const auto report = cell.run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Code::NotFound);
  EXPECT_THAT(report.error().message, HasSubstr(root.brief()));
  EXPECT_EQ(cell.stored(), before);
}

TEST(Collector, ADeadNodeThatCannotBeReadLeadsToARecount) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(9000, 1));
  cell.release("repo");
  cell.run();
  const ChunkId root = cell.repository->release(*cell.repository->volume("repo").value(), ReleaseNumber(1))->root.id;
  ASSERT_TRUE(cell.chunks->erase(std::vector{root}));
  ASSERT_TRUE(cell.repository->submit(cell.caller, volume::DeleteVolume{"repo"}));
  EXPECT_TRUE(cell.run());
  EXPECT_FALSE(cell.stored().empty());
  EXPECT_TRUE(cell.run()->recounted);
  EXPECT_TRUE(cell.stored().empty());
}

TEST(Collector, SaysWhyAChunkIsKept) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "dir/a", noise(200, 1));
  cell.release("repo");
  cell.put("repo", "dir/b", noise(201, 2));
  cell.run();
  EXPECT_THAT(cell.collector->why(ChunkId(sha256(noise(200, 1))), 9).value(),
              ElementsAre("key 'dir/a': channel 'current' of 'repo'", "key 'dir/a': head of 'repo'",
                          "key 'dir/a': release 1 of 'repo'"));
  EXPECT_EQ(cell.collector->why(ChunkId(sha256(noise(200, 1))), 2)->size(), 2u);
  EXPECT_THAT(cell.collector->why(ChunkId(sha256(noise(201, 2))), 9).value(),
              ::testing::Contains("unsealed edit of 'dir/b' in head of 'repo'"));
  EXPECT_TRUE(cell.collector->why(ChunkId(sha256("nowhere")), 9)->empty());
}

// The same bytes as a node and as a file: each is counted as what it is.
TEST(Collector, BytesThatAreANodeAndAFile) {
  Cell cell;
  cell.create("repo");
  cell.put("repo", "a", noise(3000, 1));
  cell.release("repo");
  const ChunkId root = cell.repository->release(*cell.repository->volume("repo").value(), ReleaseNumber(1))->root.id;
  const Bytes node = **cell.chunks->get(root);
  ASSERT_GT(node.size(), chunk::kInlineBytesMax);
  cell.create("file");
  cell.put("file", "node", node);
  cell.release("file");
  cell.run();
  cell.expect_whole();
  ASSERT_TRUE(cell.repository->submit(cell.caller, volume::DeleteVolume{"repo"}));
  cell.run();
  cell.expect_whole();
  EXPECT_EQ(cell.stored(), cell.reachable());
  EXPECT_TRUE(cell.collector->verify(never));
}

TEST(CollectorProperty, KeepsAllThatIsReachableAndInTheEndNothingElse) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cell cell;
    std::mt19937_64 random(seed);
    Workload work(cell, seed);
    for (int i = 0; i < 120; ++i) {
      work.step();
      if (random() % 8 == 0) {
        const auto report = cell.run(random() % 3 == 0 ? 30 : 0);
        ASSERT_TRUE(report) << report.error().message;
        cell.expect_whole();
      }
      if (random() % 40 == 0) {
        cell.close();
        work.restarted();
        cell.open();
      }
      if (random() % 40 == 0) {
        work.restarted();
        cell.crash(disk::SimDisk::CrashMode::Torn, random());
        cell.expect_whole();
      }
      if (HasFailure()) return;
    }
    work.restarted();
    expect_exact(cell);
    if (HasFailure()) return;
  }
}

uint64_t operations_to_collect(int live_keys) {
  Cell cell;
  cell.create("repo");
  std::vector<volume::Put> puts;
  const auto fill = [&](const std::string& prefix, int n) {
    for (int i = 0; i < n; ++i)
      puts.push_back({prefix + std::to_string(100'000'000 + i), cell.file(noise(200, i + n))});
    EXPECT_TRUE(cell.repository->write(cell.caller, cell.target("repo"), {}, puts));
    puts.clear();
  };
  fill("live", live_keys);
  cell.release("repo");
  cell.create("dead");
  for (int i = 0; i < 1000; ++i) puts.push_back({"k" + std::to_string(i), cell.file(noise(201, 1'000'000 + i))});
  EXPECT_TRUE(cell.repository->write(cell.caller, cell.target("dead"), {}, puts));
  cell.release("dead");
  EXPECT_TRUE(cell.run());
  EXPECT_TRUE(cell.repository->submit(cell.caller, volume::DeleteVolume{"dead"}));
  cell.put("repo", "live" + std::to_string(100'000'005), noise(300, 1));
  cell.release("repo");
  const uint64_t before = cell.counts.operations;
  const auto report = cell.run();
  EXPECT_GE(report->erased, 1000u);
  return cell.counts.operations - before;
}

TEST(CollectorCost, GrowsWithWhatIsDeadNotWithWhatIsLive) {
  const uint64_t few = operations_to_collect(2'000), many = operations_to_collect(20'000);
  EXPECT_LE(many, 2 * few);
}

}  // namespace
}  // namespace hailstone::collect
