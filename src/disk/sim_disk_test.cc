#include "disk/sim_disk.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace hailstone::disk {
namespace {

using Mode = SimDisk::CrashMode;

std::unique_ptr<File> must_open(Disk& disk, const std::string& path, OpenMode mode = OpenMode::Create) {
  auto file = disk.open(path, mode);
  EXPECT_TRUE(file) << file.error().message;
  return std::move(*file);
}

TEST(SimDisk, DropForgetsEverythingUnsynced) {
  SimDisk disk;
  ASSERT_TRUE(write_file_atomic(disk, "a", "old"));
  ASSERT_TRUE(must_open(disk, "a")->write_at(0, "new"));
  ASSERT_TRUE(must_open(disk, "unsynced name")->sync());
  ASSERT_TRUE(disk.remove("a"));
  disk.restart(Mode::Drop, 1);
  EXPECT_EQ(*read_file(disk, "a", 10), "old");
  EXPECT_FALSE(*disk.exists("unsynced name"));
}

TEST(SimDisk, KeepLosesNothing) {
  SimDisk disk;
  ASSERT_TRUE(write_file_atomic(disk, "a", "old"));
  ASSERT_TRUE(must_open(disk, "a")->write_at(2, "new"));
  ASSERT_TRUE(disk.rename("a", "b"));
  disk.restart(Mode::Keep, 1);
  EXPECT_EQ(*read_file(disk, "b", 10), "olnew");
  EXPECT_FALSE(*disk.exists("a"));
}

TEST(SimDisk, SyncedFilesWithoutASyncedNameAreLost) {
  SimDisk disk;
  auto file = must_open(disk, "a");
  ASSERT_TRUE(file->write_at(0, "x"));
  ASSERT_TRUE(file->sync());
  disk.restart(Mode::Drop, 1);
  EXPECT_FALSE(*disk.exists("a"));
}

TEST(SimDisk, ASyncedNameWithoutSyncedContentIsEmpty) {
  SimDisk disk;
  ASSERT_TRUE(must_open(disk, "a")->write_at(0, "x"));
  ASSERT_TRUE(disk.sync_directory("."));
  disk.restart(Mode::Drop, 1);
  EXPECT_EQ(*read_file(disk, "a", 10), "");
}

TEST(SimDisk, TornLandsAnySubsetOfSectorsButNoPartOfOne) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk;
    ASSERT_TRUE(write_file_atomic(disk, "a", Bytes(1536, 'o')));
    ASSERT_TRUE(must_open(disk, "a")->write_at(0, Bytes(1536, 'n')));
    disk.restart(Mode::Torn, seed);
    const Bytes content = *read_file(disk, "a", 4096);
    ASSERT_EQ(content.size(), 1536u);
    std::string pattern;
    for (size_t sector = 0; sector < 3; ++sector) {
      const Bytes bytes = content.substr(sector * 512, 512);
      ASSERT_EQ(bytes, Bytes(512, bytes[0]));
      pattern.push_back(bytes[0]);
    }
    seen.insert(pattern);
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST(SimDisk, TornReordersOverwritesOfOneSector) {
  std::set<Bytes> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk;
    ASSERT_TRUE(write_file_atomic(disk, "a", "0"));
    auto file = must_open(disk, "a");
    ASSERT_TRUE(file->write_at(0, "1"));
    ASSERT_TRUE(file->write_at(0, "2"));
    disk.restart(Mode::Torn, seed);
    seen.insert(*read_file(disk, "a", 10));
  }
  EXPECT_EQ(seen, (std::set<Bytes>{"0", "1", "2"}));
}

TEST(SimDisk, OrderedGrowthHasNoHoles) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(SimDisk::Growth::Ordered);
    ASSERT_TRUE(write_file_atomic(disk, "a", ""));
    ASSERT_TRUE(must_open(disk, "a")->write_at(0, Bytes(5000, 'n')));
    disk.restart(Mode::Torn, seed);
    const Bytes content = *read_file(disk, "a", 8192);
    EXPECT_EQ(content, Bytes(content.size(), 'n'));
  }
}

TEST(SimDisk, RenamesAreAtomicInEveryMode) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SimDisk disk;
    ASSERT_TRUE(write_file_atomic(disk, "a", "old"));
    ASSERT_TRUE(write_file_atomic(disk, "b", "new"));
    ASSERT_TRUE(disk.rename("b", "a"));
    disk.restart(Mode::Torn, seed);
    const bool renamed = !*disk.exists("b");
    EXPECT_EQ(*read_file(disk, "a", 10), renamed ? "new" : "old");
  }
}

TEST(SimDisk, AtomicWriteIsOldOrNewAfterACrashAtEveryOperation) {
  for (const Mode mode : {Mode::Drop, Mode::Keep, Mode::Torn}) {
    for (uint64_t operation = 1;; ++operation) {
      SimDisk disk;
      const Bytes old_content(3000, 'o');
      const Bytes new_content(2000, 'n');
      ASSERT_TRUE(write_file_atomic(disk, "a", old_content));
      disk.crash_at(disk.operations() + operation);
      const auto written = write_file_atomic(disk, "a", new_content);
      const bool met = disk.crashed();
      disk.restart(mode, operation);
      const Bytes content = *read_file(disk, "a", 10000);
      EXPECT_TRUE(content == new_content || (!written && content == old_content)) << "operation " << operation;
      if (!met) break;
    }
  }
}

TEST(SimDisk, TheChosenOperationFailsOnce) {
  SimDisk disk;
  auto file = must_open(disk, "a");
  disk.fail_at(disk.operations() + 1);
  EXPECT_EQ(file->write_at(0, "abcd").error().code, Code::Io);
  EXPECT_TRUE(file->write_at(0, "abcd"));
}

TEST(SimDisk, AFailedSyncLosesItsWritesForGood) {
  SimDisk disk;
  ASSERT_TRUE(write_file_atomic(disk, "a", "old"));
  auto file = must_open(disk, "a");
  ASSERT_TRUE(file->write_at(0, "new"));
  disk.fail_at(disk.operations() + 1);
  EXPECT_EQ(file->sync().error().code, Code::Io);
  EXPECT_EQ(file->write_at(0, "new").error().code, Code::Io);
  EXPECT_TRUE(must_open(disk, "a")->sync());
  EXPECT_EQ(*read_file(disk, "a", 10), "new");
  disk.restart(Mode::Keep, 1);
  EXPECT_EQ(*read_file(disk, "a", 10), "old");
}

TEST(SimDisk, NothingWorksBetweenCrashAndRestart) {
  SimDisk disk;
  auto file = must_open(disk, "a");
  auto lock = disk.lock("a");
  ASSERT_TRUE(lock);
  disk.crash();
  EXPECT_EQ(disk.list(".").error().code, Code::Io);
  EXPECT_EQ(disk.open("a", OpenMode::Read).error().code, Code::Io);
  EXPECT_EQ(file->sync().error().code, Code::Io);
  disk.restart(Mode::Keep, 1);
  EXPECT_EQ(file->size().error().code, Code::Io);
  EXPECT_TRUE(disk.lock("a"));  // the dead process's lock is gone
}

TEST(SimDisk, CapacityCountsGrowthOnly) {
  SimDisk disk;
  auto file = must_open(disk, "a");
  disk.set_capacity(10);
  ASSERT_TRUE(file->write_at(0, Bytes(8, 'x')));
  EXPECT_EQ(file->write_at(8, "abcd").error().code, Code::Exhausted);
  EXPECT_EQ(*file->size(), 10u);
  EXPECT_TRUE(file->write_at(0, Bytes(10, 'y')));
  EXPECT_EQ(*disk.free_bytes("."), 0u);
  ASSERT_TRUE(file->truncate(0));
  EXPECT_EQ(*disk.free_bytes("."), 10u);
}

TEST(SimDisk, MadeDirectoriesAreDurable) {
  SimDisk disk;
  ASSERT_TRUE(disk.make_directories("x/y"));
  disk.restart(Mode::Drop, 1);
  EXPECT_TRUE(*disk.is_directory("x/y"));
}

TEST(SimDisk, FlippedBytesStayFlipped) {
  SimDisk disk;
  ASSERT_TRUE(write_file_atomic(disk, "a", "abc"));
  ASSERT_TRUE(disk.flip("a", 1, 0x01));
  EXPECT_EQ(*read_file(disk, "a", 10), "acc");
  disk.restart(Mode::Drop, 1);
  EXPECT_EQ(*read_file(disk, "a", 10), "acc");
  EXPECT_EQ(disk.flip("a", 3).error().code, Code::Invalid);
}

TEST(SimDisk, ThreadsMayShareIt) {
  SimDisk disk;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&disk, name = "f" + std::to_string(number)] {
      for (int round = 0; round < 200; ++round) ASSERT_TRUE(write_file_atomic(disk, name, std::to_string(round)));
    });
  }
  for (auto& thread : threads) thread.join();
  for (int number = 0; number < 4; ++number) {
    EXPECT_EQ(*read_file(disk, "f" + std::to_string(number), 10), "199");
  }
}

}  // namespace
}  // namespace hailstone::disk
