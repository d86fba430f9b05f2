#include <functional>

#include "chunk/store_model.h"

namespace hailstone::chunk {
namespace {

using disk::SimDisk;

using Load = LocalStoreOptions::Load;

LocalStoreOptions options(Load load = Load::AtOpen) {
  LocalStoreOptions out;
  out.load = load;
  out.directory = "/store";
  out.segment_bytes = 100'000;
  out.segment_chunks_max = 40;
  out.reserve_bytes = 0;
  return out;
}

/// A little of everything: small and large chunks, both forms, duplicates, erasures, several segments, syncs,
/// compactions.
void work(LocalStore& store, StoreModel& model, uint64_t salt) {
  std::vector<ChunkId> put;
  for (uint64_t i = 0; i < 60; ++i) {
    const uint64_t seed = salt * 1000 + i;
    const size_t size = i % 13 == 7 ? 70'000 + i : (i * 211) % 3000 + 1;
    const Bytes bytes = i % 4 == 0 ? prose(size, seed) : noise(size, seed);
    model.put(store, bytes);
    put.push_back(ChunkId(sha256(bytes)));
    if (i % 9 == 4) model.erase(store, put[i / 2]);
    if (i % 18 == 17) model.put(store, model.bytes(put[i / 2]));
    if (i % 7 == 6) model.sync(store);
    if (i % 15 == 14) (void)store.compact({.dead_percent = 5, .pace = {}}, [] { return false; });
  }
}

/// Most of what is put is erased again, and compactions run in between: segments come and go.
void churn(LocalStore& store, StoreModel& model) {
  std::vector<ChunkId> put;
  for (uint64_t i = 0; i < 90; ++i) {
    const Bytes bytes = noise(i % 11 == 5 ? 30'000 : 1'500 + i, 50'000 + i);
    model.put(store, bytes);
    put.push_back(ChunkId(sha256(bytes)));
    if (i % 3 != 0) model.erase(store, put[i - i % 7]);
    if (i % 10 == 9) model.erase(store, put[i - 9]);
    if (i % 20 == 11) model.put(store, model.bytes(put[i - 11]));
    if (i % 8 == 7) model.sync(store);
    if (i % 12 == 11) (void)store.compact({.dead_percent = 20, .pace = {}}, [] { return false; });
  }
}

void drop_sidecars(SimDisk& disk) {
  const auto names = disk.list("/store");
  if (!names) return;
  for (const std::string& name : *names)
    if (name.ends_with(".idx")) ASSERT_TRUE(disk.remove("/store/" + name));
}

/// Opens, checks, works on, closes, and checks again without the sidecars.
void reopen_and_check(SimDisk& disk, ErrorLog& log, StoreModel& model, bool sidecars) {
  if (!sidecars) drop_sidecars(disk);
  {
    auto store = LocalStore::open(disk, options(sidecars ? Load::Behind : Load::AtOpen), log);
    ASSERT_TRUE(store) << store.error().message;
    model.check(**store);
    for (uint64_t i = 0; i < 20; ++i) model.put(**store, noise(i * 97 + 1, 77'000 + i));
    model.sync(**store);
  }
  drop_sidecars(disk);
  for (const Load load : {Load::Behind, Load::AtOpen}) {
    auto store = LocalStore::open(disk, options(load), log);
    ASSERT_TRUE(store) << store.error().message;
    model.check(**store);
  }
  EXPECT_THAT(log.take(), testing::IsEmpty());
}

using Work = std::function<void(LocalStore&, StoreModel&)>;
void some_work(LocalStore& store, StoreModel& model) { work(store, model, 1); }

uint64_t operations_of_work(const Work& work = some_work) {
  SimDisk disk;
  NullLogger logger;
  StoreModel model;
  auto store = LocalStore::open(disk, options(), logger).value();
  work(*store, model);
  store.reset();
  return disk.operations();
}

void crash_everywhere(SimDisk::CrashMode mode, uint64_t seeds, const Work& work = some_work) {
  const uint64_t operations = operations_of_work(work);
  ASSERT_GT(operations, 60u);
  for (uint64_t at = 1; at <= operations; ++at) {
    for (uint64_t seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations) + " seed " +
                   std::to_string(seed));
      SimDisk disk;
      ErrorLog log;
      StoreModel model;
      disk.crash_at(at);
      if (auto store = LocalStore::open(disk, options(), log)) work(**store, model);
      disk.restart(mode, at * 1000 + seed);
      log.take();
      reopen_and_check(disk, log, model, (at + seed) % 2 == 0);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(LocalStoreCrash, AtEveryOperationWithUnsyncedWritesDropped) { crash_everywhere(SimDisk::CrashMode::Drop, 1); }
TEST(LocalStoreCrash, AtEveryOperationWithUnsyncedWritesKept) { crash_everywhere(SimDisk::CrashMode::Keep, 1); }
TEST(LocalStoreCrash, AtEveryOperationWithUnsyncedWritesTorn) { crash_everywhere(SimDisk::CrashMode::Torn, 6); }

TEST(LocalStoreCrash, AtEveryOperationOfCompactionsWithUnsyncedWritesDropped) {
  crash_everywhere(SimDisk::CrashMode::Drop, 1, churn);
}
TEST(LocalStoreCrash, AtEveryOperationOfCompactionsWithUnsyncedWritesKept) {
  crash_everywhere(SimDisk::CrashMode::Keep, 1, churn);
}
TEST(LocalStoreCrash, AtEveryOperationOfCompactionsWithUnsyncedWritesTorn) {
  crash_everywhere(SimDisk::CrashMode::Torn, 4, churn);
}

// What a failed compaction leaves in memory is as good as what was there before.
TEST(LocalStoreCrash, AFailureAtAnyOperationOfACompactionLosesNothing) {
  const uint64_t operations = operations_of_work(churn);
  for (uint64_t at = 1; at <= operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    SimDisk disk;
    ErrorLog log;
    StoreModel model;
    disk.fail_at(at);
    if (auto store = LocalStore::open(disk, options(), log)) {
      churn(**store, model);
      disk.crash();
    }
    disk.restart(SimDisk::CrashMode::Drop, at);
    log.take();
    reopen_and_check(disk, log, model, at % 2 == 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LocalStoreCrash, AgainAtEveryOperationOfTheRecovery) {
  for (uint64_t first = 30; first < operations_of_work(); first += 17) {
    for (uint64_t second = 1; second < 40; ++second) {
      SCOPED_TRACE("operations " + std::to_string(first) + " and then " + std::to_string(second));
      SimDisk disk;
      ErrorLog log;
      StoreModel model;
      disk.crash_at(first);
      if (auto store = LocalStore::open(disk, options(), log)) work(**store, model, 1);
      disk.restart(SimDisk::CrashMode::Torn, first);
      model.crashed();
      disk.crash_at(disk.operations() + second);
      if (auto store = LocalStore::open(disk, options(second % 2 ? Load::AtOpen : Load::Behind), log))
        work(**store, model, 2);
      disk.restart(SimDisk::CrashMode::Torn, second);
      log.take();
      reopen_and_check(disk, log, model, second % 2 == 0);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// A failed write or sync: what it leaves in memory is suspect, so writes stop; reads go on; reopening recovers.
TEST(LocalStoreCrash, AFailureAtAnyOperationStopsWritesNotReads) {
  const uint64_t operations = operations_of_work();
  uint64_t failures = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    SimDisk disk;
    ErrorLog log;
    StoreModel model;
    disk.fail_at(at);
    if (auto store = LocalStore::open(disk, options(), log)) {
      work(**store, model, 1);
      if (model.saw_io()) {
        const auto probe = (*store)->put("probe", Compress::Never);
        ASSERT_FALSE(probe);
        EXPECT_EQ(probe.error().code, Code::Io) << probe.error().message;
        EXPECT_EQ((*store)->sync().error().code, Code::Io);
        ++failures;
      }
      for (const ChunkId& id : model.ids())
        if (const auto got = (*store)->get(id)) EXPECT_TRUE(**got == model.bytes(id));
      disk.crash();
    }
    disk.restart(SimDisk::CrashMode::Drop, at);
    log.take();
    reopen_and_check(disk, log, model, at % 2 == 0);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(failures, operations / 3);
}

// A failed sync leaves pages that look clean but never reached the device: whoever opens next must not rely on them.
TEST(LocalStoreCrash, WhatAFailedSyncLeftIsWrittenAgainWhenReopened) {
  const uint64_t operations = operations_of_work();
  for (uint64_t at = 1; at <= operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    SimDisk disk;
    ErrorLog log;
    StoreModel model;
    disk.fail_at(at);
    if (auto store = LocalStore::open(disk, options(), log)) work(**store, model, 1);
    disk.fail_at(0);
    model.crashed();  // the process, not the machine
    {
      auto store = LocalStore::open(disk, options(), log);
      ASSERT_TRUE(store) << store.error().message;
      // All of them, or so few that no new segment makes the directory durable by the way.
      auto ids = model.ids();
      if (at % 2 == 0 && ids.size() > 3) ids.resize(3);
      for (const ChunkId& id : ids) model.put(**store, Bytes(model.bytes(id)));
      model.sync(**store);
      disk.crash();
    }
    disk.restart(SimDisk::CrashMode::Drop, at);
    reopen_and_check(disk, log, model, at % 3 == 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LocalStoreCrash, AReadNeedsNoSync) {
  SimDisk disk;
  NullLogger logger;
  auto store = LocalStore::open(disk, options(), logger).value();
  const Bytes small = noise(100, 1), large = noise(100'000, 2);
  const ChunkId a = store->put(small, Compress::Never).value(), b = store->put(large, Compress::Never).value();
  const uint64_t before = disk.operations();
  EXPECT_EQ(*store->get(a).value(), small);
  EXPECT_EQ(*store->get(b).value(), large);
  EXPECT_EQ(disk.operations(), before);
}

TEST(LocalStoreCrash, NothingNewCostsNoSync) {
  SimDisk disk;
  NullLogger logger;
  auto store = LocalStore::open(disk, options(), logger).value();
  ASSERT_TRUE(store->put("x", Compress::Never));
  ASSERT_TRUE(store->sync());
  const uint64_t before = disk.operations();
  ASSERT_TRUE(store->sync());
  EXPECT_EQ(disk.operations(), before);
}

TEST(LocalStoreFull, RefusesPutsServesReadsAndRecoversWithRoom) {
  for (uint64_t capacity = 1000; capacity < 400'000; capacity += 9'777) {
    SCOPED_TRACE(capacity);
    SimDisk disk;
    ErrorLog log;
    StoreModel model;
    auto opened = LocalStore::open(disk, options(), log);
    ASSERT_TRUE(opened);
    auto& store = **opened;
    disk.set_capacity(capacity);
    std::vector<Bytes> refused;
    for (uint64_t i = 0; i < 60; ++i) {
      const Bytes bytes = noise(i % 5 == 3 ? 90'000 : i * 31 + 1, i);
      const auto put = store.put(bytes, Compress::Never);
      if (!put) {
        ASSERT_EQ(put.error().code, Code::Exhausted) << put.error().message;
        EXPECT_FALSE(store.has(std::vector{ChunkId(sha256(bytes))}).value()[0]);
        refused.push_back(bytes);
      } else {
        model.put(store, bytes, Compress::Never);  // there already: only told to the model
      }
      if (i % 6 == 5) model.sync(store);
    }
    ASSERT_FALSE(refused.empty());
    for (const ChunkId& id : model.ids()) EXPECT_EQ(*store.get(id).value(), model.bytes(id));
    if (!model.ids().empty()) model.erase(store, model.ids().front());
    disk.set_capacity(UINT64_MAX);
    for (const Bytes& bytes : refused) model.put(store, bytes, Compress::Never);
    for (const Bytes& bytes : refused) EXPECT_TRUE(store.get(ChunkId(sha256(bytes))));
    ASSERT_TRUE(store.sync());
    model.sync(store);
    disk.crash();
    opened->reset();
    disk.restart(SimDisk::CrashMode::Torn, capacity);
    reopen_and_check(disk, log, model, capacity % 2 == 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LocalStoreFull, KeepsTheReserveFreeButErases) {
  SimDisk disk;
  NullLogger logger;
  LocalStoreOptions reserved = options();
  reserved.reserve_bytes = 50'000;
  disk.set_capacity(100'000);
  auto store = LocalStore::open(disk, reserved, logger).value();
  const ChunkId id = store->put(noise(1000, 0), Compress::Never).value();
  ASSERT_TRUE(store->put(noise(40'000, 1), Compress::Never));
  ASSERT_TRUE(store->sync());
  const auto refused = store->put(noise(300'000, 2), Compress::Never);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Exhausted);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("50000 are kept in reserve"));
  EXPECT_EQ(store->put(noise(9'000, 3), Compress::Never).error().code, Code::Exhausted);
  EXPECT_TRUE(store->erase(std::span(&id, 1)));
  EXPECT_TRUE(store->sync());
  EXPECT_EQ(store->get(id).error().code, Code::NotFound);
}

}  // namespace
}  // namespace hailstone::chunk
