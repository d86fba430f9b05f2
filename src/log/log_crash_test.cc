// Crash at every disk operation: everything synced is there, nothing is half there, and the log goes on.
#include <gtest/gtest.h>

#include <map>

#include "disk/sim_disk.h"
#include "log/log.h"

namespace hailstone::log {
namespace {

using disk::SimDisk;

constexpr uint64_t kSlots = 24;

LogOptions options() { return {.directory = "log", .segment_bytes = 32 << 10, .spare = SparePreparation::Inline}; }

/// Sizes that make one-sector, several-sector and several-block batches.
Bytes body(Slot slot) { return Bytes(1 + slot.value * 977 % 7000, static_cast<char>('a' + slot.value % 26)); }

struct Progress {
  Slot appended;
  Slot synced;
  Slot trimmed;
};

/// Appends until kSlots, syncing every third record and trimming now and then, until done or the disk crashes.
void work(SimDisk& disk, Progress& progress) {
  NullLogger logger;
  auto log = Log::open(disk, options(), logger);
  if (!log) return;
  while ((*log)->last() < Slot(kSlots)) {
    const Slot slot = (*log)->last().next();
    progress.appended = std::max(progress.appended, slot);  // from here on a crash may keep it
    if (!(*log)->append(slot, body(slot))) return;
    if (slot.value % 3 == 0) {
      if (!(*log)->sync()) return;
      progress.synced = slot;
    }
    if (slot.value % 9 == 0) {
      progress.trimmed = Slot(slot.value - 4);
      if (!(*log)->trim(progress.trimmed)) return;
    }
  }
}

void expect_whole(SimDisk& disk, const Progress& progress) {
  NullLogger logger;
  auto log = Log::open(disk, options(), logger);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_GE((*log)->last(), progress.synced);
  EXPECT_LE((*log)->last(), progress.appended);
  EXPECT_LE((*log)->first(), progress.trimmed.next());
  Slot expected = (*log)->first();
  const auto replayed = (*log)->replay(Slot(0), [&](Slot slot, ByteView record) -> Result<void> {
    EXPECT_EQ(slot, expected);
    EXPECT_EQ(record, body(slot));
    expected = slot.next();
    return {};
  });
  ASSERT_TRUE(replayed) << replayed.error().message;
  EXPECT_EQ(expected, (*log)->last().next());
}

class LogCrash : public testing::TestWithParam<SimDisk::CrashMode> {};

TEST_P(LogCrash, AtEveryOperationLosesNothingSynced) {
  const uint64_t seeds = GetParam() == SimDisk::CrashMode::Torn ? 25 : 1;
  for (uint64_t operation = 1;; ++operation) {
    bool met = false;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      SCOPED_TRACE(testing::Message() << "crash at operation " << operation << ", seed " << seed);
      SimDisk disk;
      disk.crash_at(operation);
      Progress progress;
      work(disk, progress);
      met = disk.crashed();
      disk.restart(GetParam(), seed);
      expect_whole(disk, progress);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    if (!met) break;
  }
}

TEST_P(LogCrash, DuringRecoveryAndAgainLosesNothingSynced) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimDisk disk;
    Progress progress;
    // Each life crashes a few operations after its start: often in recovery, else in the work after it.
    for (uint64_t life = 0; life < 12; ++life) {
      disk.crash_at(disk.operations() + 1 + (seed * 31 + life * 17) % 23);
      work(disk, progress);
      disk.restart(GetParam(), seed * 100 + life);
    }
    expect_whole(disk, progress);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST_P(LogCrash, FailedOperationsNeverLoseWhatWasSynced) {
  for (uint64_t operation = 1;; ++operation) {
    SCOPED_TRACE(testing::Message() << "failure of operation " << operation);
    SimDisk disk;
    disk.fail_at(operation);
    Progress progress;
    work(disk, progress);
    const bool met = disk.operations() >= operation;
    disk.restart(GetParam(), operation);
    expect_whole(disk, progress);
    if (!met || HasFatalFailure() || HasNonfatalFailure()) break;
  }
}

std::string mode_name(const testing::TestParamInfo<SimDisk::CrashMode>& info) {
  switch (info.param) {
    case SimDisk::CrashMode::Drop: return "Drop";
    case SimDisk::CrashMode::Keep: return "Keep";
    case SimDisk::CrashMode::Torn: return "Torn";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Modes, LogCrash,
                         testing::Values(SimDisk::CrashMode::Drop, SimDisk::CrashMode::Keep, SimDisk::CrashMode::Torn),
                         mode_name);

}  // namespace
}  // namespace hailstone::log
