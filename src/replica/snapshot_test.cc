// A member that the others' logs can't help any more is given a snapshot.
#include <gtest/gtest.h>

#include "replica/host_cluster.h"
#include "replica/place.h"
#include "replica/snapshot_install.h"
#include "replica/snapshot_source.h"

namespace hailstone::replica {
namespace {

Bytes noise(uint64_t seed, size_t size) {
  Bytes out;
  while (out.size() < size) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    out.push_back(static_cast<char>(seed >> 56));
  }
  return out;
}

class SnapshotTest : public HostTest {
 protected:
  SnapshotTest() {
    options_ = {.groups = 1, .store = MemberOptions::Store::Rocks, .flush_bytes = 256 << 10, .trim_lag_max = 1};
  }
  /// Commands of some kilobytes until the running members have trimmed their logs behind `slot`.
  void push_past(Slot slot) {
    while (oldest_ <= slot) {
      for (int i = 0; i < 100; ++i, ++count_) must(0, noise(count_, 4000));
      // What a member can't serve from its log it offers as a snapshot.
      oldest_ = Slot(oldest_.value + 100);
    }
  }
  Slot oldest_{0};
  size_t count_ = 0;
};

TEST_F(SnapshotTest, AMemberThatWasAwayTooLongIsGivenOne) {
  for (; count_ < 20; ++count_) must(0, noise(count_, 4000));
  converge(count_);
  members_[2].stop();
  const auto pieces = std::make_shared<std::atomic<int>>(0);  // the members go on after this function
  wires_.filter([pieces](ReplicaId, Channel channel) {
    *pieces += channel == Channel::Snapshots;
    return true;
  });
  push_past(Slot(1000));
  start(2);
  must(0, "z"), ++count_;
  converge(count_);
  EXPECT_GT(*pieces, 0);
  // It is a full member again.
  members_[0].stop();
  must(0, "without the first"), ++count_;
  converge(count_);
}

TEST_F(SnapshotTest, AMemberThatLostItsDatabaseGetsItAgain) {
  push_past(Slot(500));
  converge(count_);
  members_[1].stop();
  for (const auto& name : *members_[1].disk().list("db-0")) ASSERT_TRUE(members_[1].disk().remove("db-0/" + name));
  start(1);
  must(0, "z"), ++count_;
  converge(count_);
}

TEST_F(SnapshotTest, AMemberWithADamagedDatabaseGetsItAgain) {
  push_past(Slot(500));
  converge(count_);
  members_[1].drain();
  for (const auto& name : *members_[1].disk().list("db-0"))
    if (name.ends_with(".sst")) ASSERT_TRUE(members_[1].disk().flip("db-0/" + name, 2000));
  start(1);
  must(0, "z"), ++count_;
  converge(count_);
  EXPECT_TRUE(*members_[1].disk().exists("db-0.damaged-1"));
}

TEST_F(SnapshotTest, ATransferGoesOnWhereItWasCutOff) {
  push_past(Slot(100));
  members_[2].stop();
  push_past(Slot(1000));
  // Two pieces come, then nothing; the member that wants it is started anew.
  const auto pieces = std::make_shared<std::atomic<int>>(0);  // the members go on after this function
  wires_.filter([pieces](ReplicaId to, Channel channel) {
    if (channel != Channel::Snapshots || to != ReplicaId(3)) return true;
    return ++*pieces <= 2;
  });
  start(2);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (*pieces < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  members_[2].drain();  // so that what came is durable
  const auto again = std::make_shared<std::atomic<int>>(0);
  wires_.filter([again](ReplicaId to, Channel channel) {
    *again += channel == Channel::Snapshots && to == ReplicaId(3);
    return true;
  });
  start(2);
  converge(count_);
  EXPECT_GT(*again, 0);
  EXPECT_LT(*again, 5);  // of about five
}

/// Between two databases, by hand: a crash at every operation of the one that receives.
TEST(SnapshotInstallTest, ACrashAnywhereLeavesTheOldOrTheNewState) {
  const auto from = make_memory_database();
  const paxos::SnapshotMeta meta{.upto = Slot(70), .digest = {7, 7}, .time_us = 1, .configs = {}};
  Batch fill;
  for (uint64_t i = 0; i < 600; ++i) fill.put(fmt::format("new/{:04}", i), noise(i, 4000));
  fill.put(Bytes(kAppliedKey), Place{.at = meta, .checksum = 5}.encode());
  ASSERT_TRUE(from->write(fill));
  SnapshotSource source(*from);
  ASSERT_EQ((*source.offer(Slot(3), Slot(1), 0))->upto, Slot(70));

  const auto keys = [](const Database& database, ByteView prefix) {
    size_t count = 0;
    for (auto at = database.iterate(prefix, Bytes(prefix) + '\xff'); at->valid(); at->next()) ++count;
    return count;
  };
  bool met = true;
  for (uint64_t operation = 1; met; operation += 1 + operation / 16) {
    SCOPED_TRACE(operation);
    disk::SimDisk disk;
    const RocksOptions options{.directory = "db", .memtable_bytes = 1 << 20};
    {
      const auto database = *open_rocks_database(disk, options);
      Batch old;
      for (int i = 0; i < 10; ++i) old.put(fmt::format("old/{}", i), "x");
      ASSERT_TRUE(database->write(old));
      ASSERT_TRUE(database->flush());
    }
    disk.crash_at(disk.operations() + operation);
    bool adopted = false;
    const auto install = [&](Database& database) -> Result<void> {
      SnapshotInstall to(database);
      TRY(const Slot completed, to.completed());
      if (!completed) {
        TRY(Bytes after, to.begin(meta));
        for (bool last = false; !last;) {
          TRY(const SnapshotPiece piece, source.piece({.upto = Slot(70), .after = after}, 0));
          TRY(after, to.add(piece));
          last = piece.last;
        }
        TRY_DO(to.complete());
      }
      TRY_DO(to.adopt());
      adopted = true;
      return {};
    };
    {
      auto database = open_rocks_database(disk, options);
      if (database) static_cast<void>(install(**database));
      if (!disk.crashed()) EXPECT_TRUE(adopted);
    }
    met = disk.crashed();
    if (met)
      disk.restart(disk::SimDisk::CrashMode::Drop, operation);
    else
      disk.crash_at(UINT64_MAX);
    auto database = open_rocks_database(disk, options);
    ASSERT_TRUE(database) << database.error().message;
    const size_t old_keys = keys(**database, "old/"), new_keys = keys(**database, "new/");
    if (adopted) EXPECT_EQ(new_keys, 600u);
    EXPECT_TRUE((old_keys == 10 && new_keys == 0) || (old_keys == 0 && new_keys == 600)) << old_keys << " " << new_keys;
    if (new_keys == 600) continue;
    ASSERT_TRUE(install(**database));
    EXPECT_EQ(keys(**database, "old/"), 0u);
    EXPECT_EQ(keys(**database, "new/"), 600u);
    EXPECT_EQ(Place::decode(**(*database)->get(kAppliedKey))->checksum, 5u);
  }
}

TEST(SnapshotInstallTest, WhatIsCompleteIsAdoptedByTheNextLife) {
  disk::SimDisk disk;
  const RocksOptions options{.directory = "db"};
  const paxos::SnapshotMeta meta{.upto = Slot(70)};
  {
    const auto database = *open_rocks_database(disk, options);
    SnapshotInstall install(*database);
    ASSERT_TRUE(install.begin(meta));
    ASSERT_TRUE(install.add(
        {.upto = Slot(70), .after = {}, .entries = {{Bytes(kAppliedKey), Place{.at = meta}.encode()}, {"k", "v"}}}));
    EXPECT_EQ(*install.completed(), Slot(0));
    ASSERT_TRUE(install.complete());
  }
  disk.crash();
  disk.restart(disk::SimDisk::CrashMode::Drop, 1);
  const auto database = *open_rocks_database(disk, options);
  SnapshotInstall install(*database);
  EXPECT_EQ(*install.completed(), Slot(70));
  EXPECT_EQ(*database->get("k"), std::nullopt);
  ASSERT_TRUE(install.adopt());
  EXPECT_EQ(*database->get("k"), "v");
  EXPECT_EQ(*install.completed(), Slot(0));
}

TEST(SnapshotInstallTest, ASnapshotOfAnotherSlotIsRefused) {
  const auto database = make_memory_database();
  SnapshotInstall install(*database);
  const paxos::SnapshotMeta offered{.upto = Slot(9)}, sent{.upto = Slot(8)};
  ASSERT_TRUE(install.begin(offered));
  SnapshotPiece piece{.upto = Slot(9), .after = {}, .entries = {}, .last = true};
  ASSERT_TRUE(install.add(piece));
  EXPECT_EQ(install.complete().error().code, Code::Corrupt);  // no place at all
  piece.entries.emplace_back(kAppliedKey, Place{.at = sent}.encode());
  ASSERT_TRUE(install.add(piece));
  EXPECT_EQ(install.complete().error().code, Code::Corrupt);
  EXPECT_EQ(*install.completed(), Slot(0));
}

TEST(SnapshotSourceTest, HoldsTheStateThatItOfferedUntilNobodyAsks) {
  const auto database = make_memory_database();
  const auto put = [&](uint64_t slot, Bytes value) {
    Batch batch;
    batch.put("k", std::move(value));
    batch.put(Bytes(kAppliedKey), Place{.at = {.upto = Slot(slot)}}.encode());
    ASSERT_TRUE(database->write(batch));
  };
  SnapshotSource source(*database);
  EXPECT_FALSE(*source.offer(Slot(1), Slot(1), 0));  // an empty database has nothing to offer
  put(5, "five");
  EXPECT_FALSE(*source.offer(Slot(6), Slot(1), 0));
  ASSERT_TRUE(*source.offer(Slot(2), Slot(1), 0));
  put(9, "nine");
  EXPECT_EQ((*source.offer(Slot(2), Slot(1), 1))->upto, Slot(5));
  const auto piece = source.piece({.upto = Slot(5)}, 1);
  ASSERT_TRUE(piece);
  EXPECT_TRUE(piece->last);
  EXPECT_EQ(piece->entries.at(1).second, "five");
  EXPECT_TRUE(source.piece({.upto = Slot(9)}, 1)->gone);
  EXPECT_EQ((*source.offer(Slot(2), Slot(7), 2))->upto, Slot(9));  // the log begins at 7: five is of no use
  EXPECT_TRUE(source.piece({.upto = Slot(5)}, 3)->gone);
  EXPECT_TRUE(source.expire(2 + SnapshotSource::kKeepNs));
  EXPECT_FALSE(source.expire(4 + SnapshotSource::kKeepNs));
  EXPECT_TRUE(source.piece({.upto = Slot(9)}, 5)->gone);
}

}  // namespace
}  // namespace hailstone::replica
