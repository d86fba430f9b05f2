#include "chunk/compactor.h"

#include <unistd.h>

#include <atomic>
#include <thread>

#include "chunk/store_model.h"

namespace hailstone::chunk {
namespace {

using disk::SimDisk;
using testing::ElementsAre;

const auto kNever = [] { return false; };

LocalStoreOptions options() {
  LocalStoreOptions out;
  out.directory = "/store";
  out.segment_bytes = 100'000;
  out.segment_chunks_max = 400;
  out.reserve_bytes = 0;
  return out;
}

std::vector<ChunkId> fill(ChunkStore& store, uint64_t count, size_t bytes, uint64_t seed) {
  std::vector<ChunkId> out;
  for (uint64_t i = 0; i < count; ++i) out.push_back(store.put(noise(bytes, seed + i), Compress::Never).value());
  return out;
}

TEST(PlanCompaction, TakesDeadSegmentsFirstAndLeavesTheActiveAlone) {
  const std::map<uint32_t, Usage::Segment> segments{{1, {.file_bytes = 100, .live_bytes = 90, .live_chunks = 1}},
                                                    {2, {.file_bytes = 100, .live_bytes = 60, .live_chunks = 1}},
                                                    {3, {.file_bytes = 100, .live_bytes = 20, .live_chunks = 1}},
                                                    {4, {.file_bytes = 100, .live_bytes = 0, .live_chunks = 0}},
                                                    {5, {.file_bytes = 100, .live_bytes = 0, .live_chunks = 0}}};
  EXPECT_THAT(plan_compaction(segments, 5, 30, Tightness::Roomy), ElementsAre(4, 2, 3));
  EXPECT_THAT(plan_compaction(segments, 5, 30, Tightness::Tight), ElementsAre(4, 3, 2));
  EXPECT_THAT(plan_compaction(segments, 5, 10, Tightness::Roomy), ElementsAre(4, 1, 2, 3));
  // Numbers are never used again, so without an active segment the newest one stays.
  EXPECT_THAT(plan_compaction(segments, 0, 30, Tightness::Roomy), ElementsAre(4, 2, 3));
}

// Stated overhead: a third of what lives (dead shares up to 30 %), the active segment, and 48 bytes of index a record.
TEST(Compactor, LeavesLiveBytesAndTheStatedOverhead) {
  SimDisk disk;
  NullLogger logger;
  auto store = LocalStore::open(disk, options(), logger).value();
  const auto ids = fill(*store, 1000, 1000, 1);
  for (size_t i = 0; i < ids.size(); ++i)
    if (i % 10 != 0) ASSERT_TRUE(store->erase(std::span(&ids[i], 1)));
  ASSERT_TRUE(store->sync());
  EXPECT_GT(store->stats().disk_bytes, 1'000'000u);
  const auto done = store->compact({}, kNever).value();
  EXPECT_GT(done.segments, 8u);
  const auto stats = store->stats();
  EXPECT_EQ(stats.chunks, 100u);
  EXPECT_LE(stats.disk_bytes,
            stats.stored_bytes * 4 / 3 + options().segment_bytes + stats.chunks * (48 + 64) + 100'000);
  for (size_t i = 0; i < ids.size(); i += 10) EXPECT_EQ(*store->get(ids[i]).value(), noise(1000, 1 + i));
  EXPECT_EQ(disk.used_bytes(), stats.disk_bytes);
  // Nothing is left to do.
  EXPECT_EQ(store->compact({}, kNever).value().moved_chunks, 0u);
  store.reset();
  store = LocalStore::open(disk, options(), logger).value();
  EXPECT_EQ(store->stats().chunks, 100u);
}

TEST(Compactor, AnErasureStaysWhileAnotherFileHoldsWhatItErases) {
  SimDisk disk;
  NullLogger logger;
  auto store = LocalStore::open(disk, options(), logger).value();
  const auto old = fill(*store, 100, 1000, 1);          // segment 1, and a little of 2
  const auto filler = fill(*store, 90, 1000, 500);      // the rest of 2
  ASSERT_TRUE(store->erase(std::span(old).first(10)));  // 10 % of segment 1: it stays
  ASSERT_TRUE(store->erase(filler));
  const auto more = fill(*store, 100, 1000, 900);
  ASSERT_TRUE(store->erase(more));
  fill(*store, 100, 1000, 1300);
  const auto done = store->compact({}, kNever).value();
  EXPECT_GE(done.segments, 1u);
  EXPECT_GE(done.carried_erasures, 10u);
  store.reset();
  for (const std::string& name : disk.list("/store").value())
    if (name.ends_with(".idx")) ASSERT_TRUE(disk.remove("/store/" + name));
  store = LocalStore::open(disk, options(), logger).value();
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(store->get(old[i]).error().code, Code::NotFound) << i;
  for (size_t i = 10; i < 100; ++i) EXPECT_TRUE(store->get(old[i])) << i;
}

TEST(Compactor, DamagedRecordsStayWhereTheyAre) {
  SimDisk disk;
  ErrorLog log;
  auto store = LocalStore::open(disk, options(), log).value();
  const auto ids = fill(*store, 200, 1000, 1);
  ASSERT_TRUE(store->erase(std::span(ids).first(60)));
  ASSERT_TRUE(store->sync());
  ASSERT_TRUE(disk.flip("/store/00000001.seg", 80'000));
  const auto done = store->compact({}, kNever).value();
  EXPECT_EQ(done.kept_damaged, 1u);
  EXPECT_EQ(log.take().size(), 1u);
  uint64_t damaged = 0;
  for (size_t i = 60; i < ids.size(); ++i) {
    const auto got = store->get(ids[i]);
    if (!got) EXPECT_EQ(got.error().code, Code::Corrupt);
    damaged += !got;
  }
  EXPECT_EQ(damaged, 1u);
  EXPECT_EQ(store->quarantine().size(), 1u);
  // Put again it is whole, and its file can go.
  for (uint64_t i = 60; i < 200; ++i) ASSERT_TRUE(store->put(noise(1000, 1 + i), Compress::Never));
  EXPECT_TRUE(store->quarantine().empty());
  EXPECT_EQ(store->compact({}, kNever).value().kept_damaged, 0u);
  EXPECT_FALSE(disk.exists("/store/00000001.seg").value());
  for (size_t i = 60; i < ids.size(); ++i) EXPECT_TRUE(store->get(ids[i]));
}

TEST(Compactor, GivesRoomBackOnAFullDisk) {
  SimDisk disk;
  NullLogger logger;
  LocalStoreOptions reserved = options();
  reserved.reserve_bytes = 400'000;  // free space is looked at once per 256 KiB
  auto store = LocalStore::open(disk, reserved, logger).value();
  disk.set_capacity(1'400'000);
  std::vector<ChunkId> ids;
  for (uint64_t i = 0;; ++i) {
    const auto put = store->put(noise(1000, i), Compress::Never);
    if (!put) break;
    ids.push_back(*put);
  }
  ASSERT_GT(ids.size(), 800u);
  std::vector<ChunkId> dead;
  for (size_t i = 0; i < ids.size(); ++i)
    if (i < 100 || i % 100 >= 25) dead.push_back(ids[i]);
  const auto erased = store->erase(dead);
  ASSERT_TRUE(erased) << erased.error().message;
  ASSERT_TRUE(store->sync());
  ASSERT_EQ(store->put(noise(1000, 99'999), Compress::Never).error().code, Code::Exhausted);
  const auto done = store->compact({}, kNever).value();
  EXPECT_GT(done.freed_bytes, 500'000u);
  EXPECT_TRUE(store->put(noise(1000, 99'999), Compress::Never));
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(store->get(ids[i]).has_value(), !(i < 100 || i % 100 >= 25)) << i;
}

// Readers, writers, erasers and a compaction at once, on real files: every reader gets what it asked for.
TEST(Compactor, RunsBesideReadersAndWriters) {
  const auto disk = disk::make_real_disk();
  NullLogger logger;
  LocalStoreOptions small = options();
  small.directory = testing::TempDir() + "compactor_" + std::to_string(::getpid());
  small.open_files_max = 2;
  {
    auto store = LocalStore::open(*disk, small, logger).value();
    const auto keep = fill(*store, 300, 700, 1);
    std::atomic<bool> done = false;
    std::atomic<uint64_t> reads = 0;
    std::vector<std::thread> threads;
    for (int reader = 0; reader < 2; ++reader)
      threads.emplace_back([&, reader] {
        for (uint64_t i = reader; !done || reads < 2000; i += 7) {
          const size_t at = i % keep.size();
          const auto got = store->get(keep[at]);
          ASSERT_TRUE(got) << got.error().message;
          ASSERT_EQ(**got, noise(700, 1 + at));
          const auto extent = store->extent(keep[at], ChunkStore::Form::Plain, 0, 700);
          ASSERT_TRUE(extent) << extent.error().message;
          Bytes bytes(700, '\0');
          ASSERT_EQ(::pread(extent->fd, bytes.data(), bytes.size(), static_cast<off_t>(extent->offset)), 700);
          ASSERT_EQ(bytes, noise(700, 1 + at));
          ++reads;
        }
      });
    uint64_t moved = 0;
    for (uint64_t round = 0; round < 30; ++round) {
      const auto rubbish = fill(*store, 300, 700, 100'000 + round * 1000);
      ASSERT_TRUE(store->erase(rubbish));
      moved += store->compact({.dead_percent = 1, .pace = {}}, kNever).value().moved_chunks;
    }
    done = true;
    for (auto& thread : threads) thread.join();
    EXPECT_GT(moved, 300u);
    EXPECT_EQ(store->stats().chunks, 300u);
    EXPECT_EQ(store->list({}, 1000).value().size(), 300u);
  }
  for (const std::string& name : disk->list(small.directory).value()) (void)disk->remove(small.directory + "/" + name);
  (void)disk->remove_directory(small.directory);
}

}  // namespace
}  // namespace hailstone::chunk
