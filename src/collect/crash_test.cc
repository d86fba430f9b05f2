#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "collect/test_workload.h"

namespace hailstone::collect {
namespace {

using disk::SimDisk;
using testing::Cell;
using testing::expect_exact;
using testing::never;
using testing::Workload;

/// A store with dead chunks in several segments, some of them in the trash already, and unsealed edits.
void prepare(Cell& cell) {
  Workload work(cell, 5);
  for (int i = 0; i < 60; ++i) work.step();
  work.restarted();
  ASSERT_TRUE(cell.run());
  Workload more(cell, 6);
  for (int i = 0; i < 40; ++i) more.step();
}

/// What upkeep does in a round.
Result<void> upkeep(Cell& cell) {
  TRY_DO(cell.run());
  TRY_DO(cell.compact());
  return {};
}

uint64_t operations_of(const std::function<void(Cell&)>& act) {
  Cell cell;
  prepare(cell);
  const uint64_t before = cell.disk.operations();
  act(cell);
  return cell.disk.operations() - before;
}

/// Crashes at each operation of `act` in turn, with some of the collector's unflushed writes lost.
void crash_everywhere(const std::function<void(Cell&)>& act, SimDisk::CrashMode mode, uint64_t seeds) {
  const uint64_t operations = operations_of(act);
  ASSERT_GE(operations, 2u);  // what a run erases is one write and one sync
  for (uint64_t at = 1; at <= operations + 1; ++at) {
    for (uint64_t seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations));
      Cell cell;
      prepare(cell);
      cell.disk.crash_at(cell.disk.operations() + at);
      act(cell);
      cell.crash(mode, at * 5 + seed);
      cell.expect_whole();
      expect_exact(cell);
      ASSERT_TRUE(cell.compact());
      cell.expect_whole();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

void run(Cell& cell) { (void)cell.run(); }
void run_and_compact(Cell& cell) { (void)upkeep(cell); }

TEST(CollectorCrash, TheWorkAtHandErasesAndMoves) {
  Cell cell;
  prepare(cell);
  EXPECT_GT(cell.run()->erased, 0u);
  const auto compacted = cell.compact();
  ASSERT_TRUE(compacted);
  EXPECT_GT(compacted->segments, 1u);
  EXPECT_GT(compacted->moved_chunks, 0u);
}

TEST(CollectorCrash, AtEveryDiskOperationOfARun) { crash_everywhere(run, SimDisk::CrashMode::Torn, 3); }
TEST(CollectorCrash, AtEveryDiskOperationOfARunAndCompactionTorn) {
  crash_everywhere(run_and_compact, SimDisk::CrashMode::Torn, 3);
}
TEST(CollectorCrash, AtEveryDiskOperationOfARunAndCompactionDropped) {
  crash_everywhere(run_and_compact, SimDisk::CrashMode::Drop, 1);
}
TEST(CollectorCrash, AtEveryDiskOperationOfARunAndCompactionKept) {
  crash_everywhere(run_and_compact, SimDisk::CrashMode::Keep, 1);
}

// One write or sync fails, and the process goes on: a file whose sync failed is not read from any more, nothing that is
// reachable is taken for absent, and reopening recovers.
TEST(CollectorCrash, AFailureAtAnyOperationLosesNothing) {
  const uint64_t operations = operations_of(run_and_compact);
  uint64_t failures = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations));
    Cell cell;
    prepare(cell);
    const auto needed = cell.reachable();
    const auto expect_there = [&] {
      for (const ChunkId& id : needed) {
        const auto got = cell.chunks->get(id);
        ASSERT_TRUE(got || got.error().code == Code::Io) << got.error().message;
      }
    };
    cell.disk.fail_at(cell.disk.operations() + at);
    const auto done = upkeep(cell);
    if (!done) {
      EXPECT_EQ(done.error().code, Code::Io) << done.error().message;
      ++failures;
    }
    expect_there();
    (void)upkeep(cell);
    expect_there();
    cell.crash(SimDisk::CrashMode::Drop, at);
    cell.expect_whole();
    expect_exact(cell);
    if (HasFailure()) return;
  }
  EXPECT_GT(failures, operations / 2);
}

TEST(CollectorCrash, StoppedAnywhereItResumes) {
  for (int steps = 0; steps < 12; ++steps) {
    Cell cell;
    Workload work(cell, 7);
    for (int i = 0; i < 80; ++i) work.step();
    work.restarted();
    int polls = 0;
    const auto report = cell.collector->run_once(
        {.trash_window_seconds = 0}, [&] { return ++polls > steps; }, [](std::string_view, uint64_t) {});
    ASSERT_TRUE(report) << report.error().message;
    cell.counts.crash(static_cast<size_t>(steps));
    expect_exact(cell);
    if (HasFailure()) return;
  }
}

// From "not a byte free" to "just enough": what can't be done is refused and says so, what is reachable stays, and with
// room it is all done.
TEST(CollectorFull, RefusesClearlyAndGoesOnWithRoom) {
  uint64_t needed = 0;
  {
    Cell cell;
    prepare(cell);
    const uint64_t before = cell.disk.used_bytes();
    uint64_t most = before;
    ASSERT_TRUE(cell.run());
    most = std::max(most, cell.disk.used_bytes());
    needed = most - before + 1024;
  }
  uint64_t refused = 0, kept = 0, done = 0;
  for (uint64_t room = 0; room < needed + 70'000; room += room < needed ? needed / 40 + 1 : 9'001) {
    SCOPED_TRACE(std::to_string(room) + " bytes free");
    Cell cell;
    prepare(cell);
    cell.disk.set_capacity(cell.disk.used_bytes() + room);
    const auto report = cell.run();
    if (!report) {
      ASSERT_EQ(report.error().code, Code::Exhausted) << report.error().message;
      EXPECT_THAT(report.error().message, ::testing::HasSubstr("full"));
      ++refused;
    }
    cell.expect_whole();
    const auto compacted = cell.compact();
    if (!compacted) {
      ASSERT_EQ(compacted.error().code, Code::Exhausted) << compacted.error().message;
      ++refused;
    } else {
      kept += compacted->kept_for_room > 0;
      done += compacted->kept_for_room == 0;
    }
    cell.expect_whole();
    if (room % 2 == 0) {
      cell.crash(SimDisk::CrashMode::Torn, room);  // opens while the disk is full
      cell.expect_whole();
    }
    cell.disk.set_capacity(UINT64_MAX);
    expect_exact(cell);
    const auto rest = cell.compact();
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(rest->kept_for_room, 0u);
    cell.expect_whole();
    cell.crash(SimDisk::CrashMode::Torn, room);
    expect_exact(cell);
    if (HasFailure()) return;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(kept, 0u);
  EXPECT_GT(done, 0u);
}

// The reserve is there for this: puts are refused while it is all that is left, erasing and compacting go on.
TEST(CollectorFull, TheReserveIsEnoughToMakeRoom) {
  Cell cell;
  cell.reserve_bytes = 800'000;  // free space is looked at once per 256 KiB
  cell.close();
  cell.open();
  cell.create("repo");
  cell.disk.set_capacity(2'000'000);
  const auto put = [&](uint64_t i) -> Result<void> {
    const auto session = cell.chunks->begin_writes();
    volume::Entry entry;
    TRY(entry.content, chunk::write_content(*cell.chunks, {}, chunk::noise(1000, i)));
    cell.commit("repo", "key" + std::to_string(i), entry);
    return {};
  };
  uint64_t count = 0;
  Result<void> stored;
  while (stored && count < 5000) stored = put(count++);
  ASSERT_FALSE(stored);
  ASSERT_EQ(stored.error().code, Code::Exhausted) << stored.error().message;
  for (uint64_t i = 0; i + 1 < count; ++i)
    if (i % 4 != 0) cell.remove("repo", "key" + std::to_string(i));
  ASSERT_FALSE(put(count)) << "nothing is free yet";
  const auto report = cell.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->erased, count / 2);
  const auto compacted = cell.compact();
  ASSERT_TRUE(compacted) << compacted.error().message;
  EXPECT_GT(compacted->freed_bytes, 400'000u) << compacted->kept_for_room << " kept for room";
  EXPECT_TRUE(put(count)) << "there is room again";
  cell.expect_whole();
}

}  // namespace
}  // namespace hailstone::collect
