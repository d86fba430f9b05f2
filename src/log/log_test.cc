#include "log/log.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>
#include <vector>

#include "disk/sim_disk.h"
#include "log/segment.h"

namespace hailstone::log {
namespace {

using disk::SimDisk;

class LogTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Log>> try_open() { return Log::open(disk_, options_, logger_); }
  std::unique_ptr<Log> open() {
    auto log = try_open();
    if (!log) throw std::runtime_error(log.error().message);  // fails the test
    return std::move(*log);
  }
  static Bytes body(uint64_t slot, size_t bytes = 100) {
    return std::to_string(slot) + Bytes(bytes, static_cast<char>('a' + slot % 26));
  }
  void append(Log& log, size_t count, size_t bytes = 100) {
    for (size_t i = 0; i < count; ++i) {
      const Slot slot = log.last().next();
      const auto appended = log.append(slot, body(slot.value, bytes));
      ASSERT_TRUE(appended) << appended.error().message;
      const auto synced = log.sync();
      ASSERT_TRUE(synced) << synced.error().message;
    }
  }
  static std::map<uint64_t, Bytes> contents(Log& log, Slot from = Slot(0)) {
    std::map<uint64_t, Bytes> out;
    const auto replayed = log.replay(from, [&](Slot slot, ByteView record) -> Result<void> {
      EXPECT_TRUE(out.empty() || out.rbegin()->first + 1 == slot.value);
      out.emplace(slot.value, record);
      return {};
    });
    EXPECT_TRUE(replayed) << replayed.error().message;
    return out;
  }
  void expect_slots(Log& log, uint64_t first, uint64_t last, size_t bytes = 100) {
    EXPECT_EQ(log.last(), Slot(last));
    const auto found = contents(log);
    ASSERT_EQ(found.size(), last + 1 - first);
    for (const auto& [slot, record] : found) EXPECT_EQ(record, body(slot, bytes));
    EXPECT_EQ(found.begin()->first, first);
  }
  std::map<std::string, Bytes> files() {
    std::map<std::string, Bytes> out;
    for (const auto& name : *disk_.list("log")) out[name] = *disk::read_file(disk_, "log/" + name, UINT64_MAX);
    return out;
  }

  SimDisk disk_;
  LogOptions options_{.directory = "log", .segment_bytes = 64 << 10, .spare = SparePreparation::Inline};
  NullLogger logger_;
};

TEST_F(LogTest, ANewLogIsEmpty) {
  auto log = open();
  EXPECT_EQ(log->last(), Slot(0));
  EXPECT_EQ(log->first(), Slot(1));
  EXPECT_TRUE(contents(*log).empty());
  EXPECT_TRUE(log->sync());
}

TEST_F(LogTest, SyncedRecordsComeBackInOrderFromAnySlot) {
  {
    auto log = open();
    append(*log, 40);
  }
  auto log = open();
  expect_slots(*log, 1, 40);
  EXPECT_EQ(contents(*log, Slot(38)).size(), 3u);
  EXPECT_TRUE(contents(*log, Slot(41)).empty());
  append(*log, 5);
  expect_slots(*log, 1, 45);
}

TEST_F(LogTest, ManyRecordsShareOneSync) {
  auto log = open();
  for (uint64_t slot = 1; slot <= 50; ++slot) ASSERT_TRUE(log->append(Slot(slot), body(slot)));
  const uint64_t before = disk_.operations();
  ASSERT_TRUE(log->sync());
  EXPECT_EQ(disk_.operations() - before, 2u);  // one write, one sync
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  log = open();
  expect_slots(*log, 1, 50);
}

TEST_F(LogTest, UnsyncedRecordsAreNotReplayed) {
  auto log = open();
  append(*log, 1);
  ASSERT_TRUE(log->append(Slot(2), "buffered"));
  EXPECT_EQ(log->last(), Slot(2));
  EXPECT_EQ(contents(*log).size(), 1u);
}

TEST_F(LogTest, EmptyRecordsAndRecordsLargerThanASegmentAreKept) {
  {
    auto log = open();
    ASSERT_TRUE(log->append(Slot(1), ""));
    ASSERT_TRUE(log->append(Slot(2), Bytes(300 << 10, 'L')));
    ASSERT_TRUE(log->append(Slot(3), "small again"));
    ASSERT_TRUE(log->sync());
    EXPECT_EQ(log->append(Slot(4), Bytes(kRecordBytesMax + 1, 'x')).error().code, Code::Invalid);
    EXPECT_EQ(log->last(), Slot(3));
  }
  auto log = open();
  EXPECT_EQ(contents(*log), (std::map<uint64_t, Bytes>{{1, ""}, {2, Bytes(300 << 10, 'L')}, {3, "small again"}}));
}

TEST_F(LogTest, NoSectorThatWasWrittenIsWrittenAgain) {
  auto log = open();
  std::map<std::string, Bytes> before = files();
  for (int round = 0; round < 60; ++round) {
    append(*log, 1, 700);
    auto after = files();
    for (const auto& [name, old_content] : before) {
      for (size_t at = 0; at < old_content.size(); at += kSectorBytes) {
        const ByteView sector = ByteView(old_content).substr(at, kSectorBytes);
        if (sector.find_first_not_of('\0') == ByteView::npos) continue;
        ASSERT_EQ(sector, ByteView(after[name]).substr(at, kSectorBytes)) << name << " at " << at;
      }
    }
    before = std::move(after);
  }
  EXPECT_GT(before.size(), 2u);
}

TEST_F(LogTest, TrimFreesWholeSegmentsAndKeepsTheRest) {
  auto log = open();
  append(*log, 100);
  const uint64_t full = log->size_bytes();
  EXPECT_GE(full, 5 * options_.segment_bytes);
  ASSERT_TRUE(log->trim(Slot(50)));
  EXPECT_LT(log->size_bytes(), full);
  const Slot first = log->first();
  EXPECT_GT(first, Slot(1));
  EXPECT_LE(first, Slot(51));
  expect_slots(*log, first.value, 100);
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  log = open();
  EXPECT_EQ(log->first(), first);
  expect_slots(*log, first.value, 100);
  append(*log, 30);
  expect_slots(*log, first.value, 130);
}

TEST_F(LogTest, SlotsGoOnAfterEverythingWasTrimmed) {
  options_.segment_bytes = kSegmentBytesMin;
  auto log = open();
  append(*log, 4);  // three batches fill a segment of four blocks
  ASSERT_TRUE(log->trim(Slot(4)));
  EXPECT_EQ(log->first(), Slot(4));
  log.reset();
  log = open();
  EXPECT_EQ(log->last(), Slot(4));
  append(*log, 1);
  expect_slots(*log, 4, 5);
}

TEST_F(LogTest, TrimmedSegmentsAreRecycled) {
  for (const auto spare : {SparePreparation::Inline, SparePreparation::Background}) {
    options_.spare = spare;
    auto log = open();
    const Slot start = log->last();
    append(*log, 40);
    ASSERT_TRUE(log->trim(Slot(start.value + 20)));
    // Full, but for the spare: the log must be able to go on in recycled files alone.
    disk_.set_capacity(disk_.used_bytes() + options_.segment_bytes);
    for (int round = 0; round < 20; ++round) {
      append(*log, 10);
      ASSERT_TRUE(log->trim(log->last()));
    }
    expect_slots(*log, log->first().value, start.value + 240);
  }
}

TEST_F(LogTest, AFullDiskRefusesTheRecordAndKeepsTheLog) {
  auto log = open();
  append(*log, 3);
  disk_.set_capacity(disk_.used_bytes());
  Slot refused;
  for (int i = 0; i < 100 && !refused; ++i) {
    const Slot slot = log->last().next();
    const auto appended = log->append(slot, body(slot.value));
    if (appended) {
      ASSERT_TRUE(log->sync());
    } else {
      EXPECT_EQ(appended.error().code, Code::Exhausted);
      refused = slot;
    }
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(log->last().next(), refused);
  EXPECT_EQ(log->append(refused, body(refused.value)).error().code, Code::Exhausted);
  disk_.set_capacity(UINT64_MAX);
  append(*log, 5);
  const uint64_t last = log->last().value;
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  log = open();
  expect_slots(*log, 1, last);
}

TEST_F(LogTest, AFailedWriteOrSyncFailsTheLogForEver) {
  for (const uint64_t operation : {1, 2}) {
    auto log = open();
    const Slot slot = log->last().next();
    ASSERT_TRUE(log->append(slot, "never acknowledged"));
    disk_.fail_at(disk_.operations() + operation);
    EXPECT_EQ(log->sync().error().code, Code::Io);
    EXPECT_EQ(log->sync().error().code, Code::Io);
    EXPECT_EQ(log->append(slot.next(), "x").error().code, Code::Io);
    EXPECT_EQ(log->trim(Slot(1)).error().code, Code::Io);
  }
}

TEST_F(LogTest, WhatIsReadAfterAFailedSyncIsMadeDurableBeforeTheLogGoesOn) {
  {
    auto log = open();
    append(*log, 2);
    ASSERT_TRUE(log->append(Slot(3), body(3)));
    disk_.fail_at(disk_.operations() + 2);  // the kernel keeps showing slot 3, and will never write it
    EXPECT_EQ(log->sync().error().code, Code::Io);
  }
  {
    auto log = open();  // the process starts again; the machine never stopped
    EXPECT_EQ(log->last(), Slot(3));
    append(*log, 1);
  }
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  expect_slots(*open(), 1, 4);
}

TEST_F(LogTest, DamageBeforeTheEndIsCorruptAndChangesNothing) {
  {
    auto log = open();
    append(*log, 40);
  }
  const auto names = *disk_.list("log");
  ASSERT_GE(names.size(), 3u);
  // In the middle of the first segment, at its very last batch, and in the last segment.
  for (const auto& [name, offset] : {std::pair{names[0], 3 * kBlockBytes + 40},
                                     {names[0], 15 * kBlockBytes + 40},
                                     {names[0], 10},
                                     {names[2], kBlockBytes + 40},
                                     {names[2], 5 * kBlockBytes}}) {
    ASSERT_TRUE(disk_.flip("log/" + name, offset));
    const auto before = files();
    const auto opened = try_open();
    ASSERT_FALSE(opened) << name << " at " << offset;
    EXPECT_EQ(opened.error().code, Code::Corrupt);
    EXPECT_NE(opened.error().message.find(name), std::string::npos) << opened.error().message;
    EXPECT_EQ(files(), before);
    ASSERT_TRUE(disk_.flip("log/" + name, offset));
  }
  expect_slots(*open(), 1, 40);
}

TEST_F(LogTest, ErasedBatchesAtTheEndOfAnOlderSegmentAreCorrupt) {
  {
    auto log = open();
    append(*log, 40);
  }
  const std::string path = "log/" + (*disk_.list("log"))[0];
  auto file = disk_.open(path, disk::OpenMode::Write);
  ASSERT_TRUE((*file)->write_at(15 * kBlockBytes, Bytes(kBlockBytes, '\0')));
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
}

TEST_F(LogTest, AMissingSegmentIsCorrupt) {
  {
    auto log = open();
    append(*log, 60);
  }
  const auto names = *disk_.list("log");
  ASSERT_GE(names.size(), 3u);
  ASSERT_TRUE(disk_.remove("log/" + names[1]));
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
  EXPECT_NE(opened.error().message.find("missing"), std::string::npos);
}

TEST_F(LogTest, ReadsTheBatchOfAnySlotItHolds) {
  auto log = open();
  append(*log, 200, 1000);
  ASSERT_TRUE(log->append(Slot(201), "a"));
  const auto read = [&](uint64_t slot) {
    std::map<uint64_t, Bytes> out;
    const auto done = log->read_batch(Slot(slot), [&](Slot at, ByteView record) -> Result<void> {
      out.emplace(at.value, record);
      return {};
    });
    EXPECT_EQ(done.has_value(), out.contains(slot));
    return out;
  };
  EXPECT_TRUE(read(201).empty());  // not durable
  ASSERT_TRUE(log->append(Slot(202), "b"));
  ASSERT_TRUE(log->sync());
  for (int opened = 0; opened < 2; ++opened) {
    for (const uint64_t slot : {1, 2, 57, 199, 200}) EXPECT_EQ(read(slot)[slot], body(slot, 1000));
    EXPECT_EQ(read(202).size(), 2u);  // all of the batch
    EXPECT_TRUE(read(203).empty());
    log.reset();
    log = open();
  }
  ASSERT_TRUE(log->trim(Slot(150)));
  EXPECT_TRUE(read(1).empty());
  EXPECT_EQ(read(180)[180], body(180, 1000));
}

TEST_F(LogTest, SalvageGivesWhatIsIntactOnBothSidesOfDamage) {
  {
    auto log = open();
    append(*log, 200, 1000);
  }
  const std::string path = "log/" + files().begin()->first;
  auto file = *disk_.open(path, disk::OpenMode::Write);
  const uint64_t damaged = 3 * kBlockBytes + 700;  // within the third batch: slot 3
  ASSERT_TRUE(file->write_at(damaged, "X"));
  EXPECT_EQ(try_open().error().code, Code::Corrupt);
  std::map<uint64_t, Bytes> found;
  const auto damages = salvage(disk_, "log", [&](Slot slot, ByteView record) -> Result<void> {
    found.emplace(slot.value, record);
    return {};
  });
  ASSERT_TRUE(damages) << damages.error().message;
  ASSERT_EQ(damages->size(), 1u);
  EXPECT_NE((*damages)[0].find(path), std::string::npos) << (*damages)[0];
  EXPECT_EQ(found.size(), 199u);
  EXPECT_FALSE(found.contains(3));
  for (const auto& [slot, record] : found) EXPECT_EQ(record, body(slot, 1000));
}

TEST_F(LogTest, ReplayStopsWithTheVisitorsError) {
  auto log = open();
  append(*log, 3);
  size_t seen = 0;
  const auto replayed = log->replay(Slot(1), [&](Slot slot, ByteView) -> Result<void> {
    ++seen;
    return slot == Slot(2) ? Result<void>(fail(Code::Cancelled, "enough")) : Result<void>();
  });
  EXPECT_EQ(replayed.error().code, Code::Cancelled);
  EXPECT_EQ(seen, 2u);
}

}  // namespace
}  // namespace hailstone::log
