#include "replica/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "disk/sim_disk.h"
#include "log/log.h"
#include "replica/counting_machine.h"
#include "replica/place.h"
#include "replica/rocks_database.h"

namespace hailstone::replica {
namespace {

using disk::SimDisk;

/// Lets a test hold the group's thread inside apply.
class GatedMachine final : public StateMachine {
 public:
  Result<Bytes> apply(Slot slot, ByteView command, const Reader& state, Batch& out) override {
    std::unique_lock hold(mutex_);
    entered_ = true;
    changed_.notify_all();
    changed_.wait(hold, [&] { return open_; });
    return inner_.apply(slot, command, state, out);
  }
  void applied(Slot) override {}
  void wait_until_entered() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return entered_; });
  }
  void open() {
    const std::lock_guard hold(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  CountingMachine inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool entered_ = false;
  bool open_ = false;
};

class GroupTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Group>> try_open() { return Group::open(disk_, *database_, machine_, options_, logger_); }
  std::unique_ptr<Group> open() {
    auto group = try_open();
    if (!group) throw std::runtime_error(group.error().message);  // fails the test
    return std::move(*group);
  }
  void open_rocks() {
    database_.reset();
    auto opened = open_rocks_database(disk_, {.directory = "db", .memtable_bytes = 128 << 10});
    if (!opened) throw std::runtime_error(opened.error().message);
    database_ = std::move(*opened);
  }
  /// Text that tables cannot compress much.
  static Bytes noise(uint64_t seed, size_t bytes) {
    Bytes out;
    for (uint64_t i = seed; out.size() < bytes; i = i * 6364136223846793005u + 1442695040888963407u) {
      out += std::to_string(i);
    }
    return out;
  }

  SimDisk disk_;
  std::unique_ptr<Database> database_ = make_memory_database();
  CountingMachine machine_;
  GroupOptions options_{.log_directory = "log", .flush_bytes = 32 << 10, .log_segment_bytes = 64 << 10};
  NullLogger logger_;
};

TEST_F(GroupTest, AppliesCommandsInOrderAndAnswersThem) {
  auto group = open();
  EXPECT_EQ(*group->propose_and_wait("a"), "1");
  EXPECT_EQ(*group->propose_and_wait("!no"), "refused");
  EXPECT_EQ(*group->propose_and_wait("b"), "2");
  EXPECT_EQ(group->applied_slot(), Slot(4));  // the first is the leader's own
  EXPECT_EQ(machine_.last_applied, 4u);
  EXPECT_EQ(*CountingMachine::commands(*database_), (std::vector<Bytes>{"a", "b"}));
  EXPECT_TRUE(group->healthy());
}

TEST_F(GroupTest, ReplaysItsLogOntoAnEmptyDatabase) {
  {
    auto group = open();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(group->propose_and_wait(std::to_string(i)));
    group->drain();
  }
  database_ = make_memory_database();  // durable never, so nothing may have been trimmed for it
  machine_.last_applied = 0;
  auto group = open();
  EXPECT_EQ(group->applied_slot(), Slot(52));  // with a slot of the leader's own for each time it was opened
  EXPECT_EQ(machine_.last_applied, 51u);
  EXPECT_EQ(CountingMachine::commands(*database_)->size(), 50u);
  EXPECT_EQ(*group->propose_and_wait("next"), "51");
}

TEST_F(GroupTest, ManyProposersEachGetTheirOwnAnswer) {
  open_rocks();
  auto group = open();
  std::mutex mutex;
  std::set<Bytes> replies;
  std::vector<std::thread> proposers;
  for (int number = 0; number < 8; ++number) {
    proposers.emplace_back([&, number] {
      for (int i = 0; i < 100; ++i) {
        auto reply = group->propose_and_wait(std::to_string(number) + "/" + std::to_string(i));
        ASSERT_TRUE(reply) << reply.error().message;
        const std::lock_guard hold(mutex);
        EXPECT_TRUE(replies.insert(*reply).second);
      }
    });
  }
  for (auto& proposer : proposers) proposer.join();
  EXPECT_EQ(replies.size(), 800u);
  EXPECT_EQ(*CountingMachine::counted(*database_), 800u);
}

TEST_F(GroupTest, WhatQueuesUpSharesOneSync) {
  GatedMachine gate;
  auto group = Group::open(disk_, *database_, gate, options_, logger_);
  ASSERT_TRUE(group);
  std::atomic<int> answered = 0;
  const auto count = [&](Result<Bytes> reply) {
    EXPECT_TRUE(reply);
    ++answered;
  };
  (*group)->propose("first", count);
  gate.wait_until_entered();
  const uint64_t before = disk_.operations();
  for (int i = 0; i < 100; ++i) (*group)->propose(std::to_string(i), count);
  gate.open();
  (*group)->drain();
  EXPECT_EQ(answered, 101);
  // A write and a sync for what was there first and for the rest; a few more where this thread is held up.
  EXPECT_LT(disk_.operations() - before, 2u * 20);
}

TEST_F(GroupTest, AFullQueueIsUnavailable) {
  GatedMachine gate;
  options_.queue_bytes_max = 2000;
  auto group = Group::open(disk_, *database_, gate, options_, logger_);
  ASSERT_TRUE(group);
  std::atomic<int> done = 0;
  (*group)->propose("first", [&](Result<Bytes> reply) { done += reply.has_value(); });
  gate.wait_until_entered();
  (*group)->propose(Bytes(1500, 'x'), [&](Result<Bytes> reply) { done += reply.has_value(); });
  Result<Bytes> refused;
  (*group)->propose(Bytes(1500, 'y'), [&](Result<Bytes> reply) { refused = std::move(reply); });
  ASSERT_FALSE(refused);  // refused before propose returned
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  gate.open();
  (*group)->drain();
  EXPECT_EQ(done, 2);
  EXPECT_EQ((*group)->propose_and_wait("late").error().code, Code::Unavailable);
}

TEST_F(GroupTest, AbandonedProposalsAreUnavailable) {
  GatedMachine gate;
  auto group = Group::open(disk_, *database_, gate, options_, logger_);
  ASSERT_TRUE(group);
  (*group)->propose("first", [](Result<Bytes> reply) { EXPECT_TRUE(reply); });
  gate.wait_until_entered();
  Result<Bytes> second;
  (*group)->propose("second", [&](Result<Bytes> reply) { second = std::move(reply); });
  std::thread stopper([&] { group->reset(); });
  gate.open();
  stopper.join();
  // It was abandoned, or logged and not applied, or done.
  if (!second) EXPECT_THAT(second.error().code, testing::AnyOf(Code::Unavailable, Code::Timeout));
}

TEST_F(GroupTest, OversizedCommandsAreInvalid) {
  auto group = open();
  EXPECT_EQ(group->propose_and_wait(Bytes(log::kRecordBytesMax + 1, 'x')).error().code, Code::Invalid);
  EXPECT_EQ(*group->propose_and_wait("a"), "1");
}

TEST_F(GroupTest, FlushesTheDatabaseAndTrimsTheLog) {
  open_rocks();
  auto group = open();
  for (uint64_t i = 0; i < 400; ++i) ASSERT_TRUE(group->propose_and_wait(noise(i, 2000)));
  // 800 kB of commands went through; what is held is bounded by what waits to be flushed.
  EXPECT_LT(disk_.list("log")->size(), 10u);
  group->drain();
  EXPECT_LE(disk_.list("log")->size(), 4u);  // the last segments, the spare and the promises
  group.reset();
  open_rocks();
  EXPECT_EQ(open()->applied_slot(), Slot(402));
  EXPECT_EQ(CountingMachine::commands(*database_)->size(), 400u);
}

TEST_F(GroupTest, CommandsThatChangeNothingDoNotKeepTheLogForEver) {
  open_rocks();
  auto group = open();
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(group->propose_and_wait("!" + Bytes(2000, 'x')));
  EXPECT_LT(disk_.list("log")->size(), 10u);
}

TEST_F(GroupTest, AFailedSyncFailsTheGroupUntilItIsOpenedAgain) {
  auto group = open();
  ASSERT_TRUE(group->propose_and_wait("a"));
  disk_.fail_at(disk_.operations() + 2);
  EXPECT_EQ(group->propose_and_wait("unknown").error().code, Code::Io);
  EXPECT_EQ(group->propose_and_wait("c").error().code, Code::Io);
  EXPECT_FALSE(group->healthy());
  EXPECT_EQ(*CountingMachine::commands(*database_), std::vector<Bytes>{"a"});
  group->drain();
  group = open();
  EXPECT_TRUE(group->healthy());
  EXPECT_TRUE(group->propose_and_wait("d"));
}

// Nothing can let the log grow here: what waits for room must not keep the node from stopping.
TEST_F(GroupTest, StoppingWhileTheLogIsFullDoesNotHang) {
  auto group = open();  // a database in memory: nothing may ever be trimmed on its word
  disk_.set_capacity(disk_.used_bytes() + (64 << 10));
  std::atomic<int> answered = 0, acknowledged = 0;
  for (int i = 0; i < 300; ++i)
    group->propose(Bytes(2000, static_cast<char>('a' + i % 26)), [&](Result<Bytes> reply) {
      acknowledged += reply.has_value();
      ++answered;
    });
  group->drain();
  EXPECT_EQ(answered, 300);
  EXPECT_LT(acknowledged, 300);
  group.reset();
  disk_.set_capacity(UINT64_MAX);
  database_ = make_memory_database();
  group = open();
  EXPECT_GE(CountingMachine::commands(*database_)->size(), static_cast<size_t>(acknowledged));
}

// A node that comes up on a full disk shows what it has, and takes commands when there is room.
TEST_F(GroupTest, OpensOnAFullDiskAndGoesOnWhenThereIsRoom) {
  open_rocks();
  uint64_t count = 0;
  for (const bool segment_full : {false, true}) {
    auto group = open();
    for (uint64_t i = 0; i < 40; ++i, ++count) ASSERT_TRUE(group->propose_and_wait(noise(count, 1000)));
    if (segment_full) {
      disk_.set_capacity(disk_.used_bytes());
      Result<Bytes> reply;
      while ((reply = group->propose_and_wait(noise(count, 1000)))) ++count;
      EXPECT_TRUE(reply.error().code == Code::Timeout || reply.error().code == Code::Exhausted);
    }
    group.reset();
    database_.reset();
    disk_.set_capacity(disk_.used_bytes() + (16 << 10));  // RocksDB writes a small file when it opens
    open_rocks();
    group = open();
    const uint64_t found = CountingMachine::commands(*database_)->size();
    EXPECT_TRUE(found == count || found == count + segment_full) << found << " of " << count;
    disk_.set_capacity(UINT64_MAX);
    Result<Bytes> reply = fail(Code::Exhausted, "not tried");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!reply && std::chrono::steady_clock::now() < deadline) reply = group->propose_and_wait("room");
    ASSERT_TRUE(reply) << reply.error().message;
    count = found + 1;
    group.reset();
    open_rocks();
  }
}

TEST_F(GroupTest, AMachineThatFailsStopsTheGroupAndNamesTheSlotOnReplay) {
  auto group = open();
  ASSERT_TRUE(group->propose_and_wait("a"));
  const auto broken = group->propose_and_wait("break");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::Corrupt);
  EXPECT_NE(broken.error().message.find("slot 3"), std::string::npos);
  EXPECT_EQ(group->propose_and_wait("c").error().code, Code::Io);
  group.reset();
  const auto reopened = try_open();
  ASSERT_FALSE(reopened);
  EXPECT_EQ(reopened.error().code, Code::Corrupt);
  EXPECT_NE(reopened.error().message.find("slot 3"), std::string::npos);
}

TEST_F(GroupTest, ALogThatStartsTooLateIsCorrupt) {
  open_rocks();
  {
    auto group = open();
    for (uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(group->propose_and_wait(noise(i, 1000)));
    group->drain();
  }
  database_ = make_memory_database();
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
  EXPECT_NE(opened.error().message.find("slot 1 is missing"), std::string::npos) << opened.error().message;
}

TEST_F(GroupTest, ALogThatEndsBeforeTheDatabaseIsCorrupt) {
  {
    auto group = open();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(group->propose_and_wait("x"));
  }
  options_.log_directory = "another-log";
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
  EXPECT_NE(opened.error().message.find("ends at slot 0"), std::string::npos) << opened.error().message;
}

TEST_F(GroupTest, AFullDiskRefusesCommandsAndLosesNone) {
  open_rocks();
  auto group = open();
  std::vector<Bytes> acknowledged;
  std::vector<Bytes> unknown;  // answered Timeout: the disk filled up between log and database
  const auto propose = [&](uint64_t number) {
    Bytes command = noise(number, 3000);
    auto reply = group->propose_and_wait(command);
    if (reply)
      acknowledged.push_back(std::move(command));
    else if (reply.error().code == Code::Timeout)
      unknown.push_back(std::move(command));
    return reply;
  };
  const auto expect_all = [&] {
    std::vector<Bytes> found = *CountingMachine::commands(*database_);
    std::erase_if(found, [&](const Bytes& command) { return std::ranges::count(unknown, command) == 1; });
    EXPECT_EQ(found, acknowledged);
  };
  for (uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(propose(i));
  disk_.set_capacity(disk_.used_bytes() + (150 << 10));
  Result<Bytes> refused;
  for (uint64_t i = 20; i < 2000 && (refused || refused.error().code == Code::Timeout); ++i) refused = propose(i);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Exhausted) << refused.error().message;
  EXPECT_TRUE(group->healthy());
  EXPECT_LE(unknown.size(), 1u);
  expect_all();

  disk_.set_capacity(UINT64_MAX);
  // The group notices the room within a retry; a refused command was not done and may be repeated.
  Result<Bytes> reply = propose(5000);
  while (!reply && reply.error().code == Code::Exhausted) reply = propose(5000);
  ASSERT_TRUE(reply) << reply.error().message;
  for (uint64_t i = 5001; i < 5020; ++i) ASSERT_TRUE(propose(i));
  expect_all();
  disk_.crash();
  group.reset();
  database_.reset();
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  open_rocks();
  group = open();
  expect_all();
}

/// Looks at each write: the place must be that of the last command whose changes are there.
class WatchingDatabase final : public Database {
 public:
  Result<std::optional<Bytes>> get(ByteView key) const override { return inner_->get(key); }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override { return inner_->iterate(begin, end); }
  std::unique_ptr<Reader> snapshot() const override { return inner_->snapshot(); }
  Result<void> flush() override { return inner_->flush(); }
  uint64_t unflushed_bytes() const override { return 0; }
  bool survives_restart() const override { return false; }
  Result<void> write(const Batch& batch) override {
    TRY_DO(inner_->write(batch));
    ++writes;
    const Slot place = Place::decode(**inner_->get(kAppliedKey))->at.upto;
    const bool there = inner_->get(fmt::format("slot/{:016x}", place.value))->has_value();
    const bool next = inner_->get(fmt::format("slot/{:016x}", place.next().value))->has_value();
    EXPECT_TRUE(there || place.value <= 2) << place.value;
    EXPECT_FALSE(next) << place.value;
    return {};
  }
  std::atomic<int> writes = 0;

 private:
  const std::unique_ptr<Database> inner_ = make_memory_database();
};

TEST_F(GroupTest, ChangesAndPlaceAreWrittenTogetherHoweverManyCommands) {
  for (const bool batching : {true, false}) {
    SimDisk disk;
    WatchingDatabase database;
    CountingMachine machine;
    machine.batching = batching;
    auto group = Group::open(disk, database, machine, options_, logger_);
    ASSERT_TRUE(group);
    std::atomic<int> answered = 0;
    for (int i = 0; i < 1000; ++i)
      (*group)->propose(std::to_string(i), [&, i](Result<Bytes> reply) {
        EXPECT_EQ(*reply, std::to_string(i + 1));
        ++answered;
      });
    (*group)->drain();
    EXPECT_EQ(answered, 1000);
    if (batching)
      EXPECT_LT(database.writes, 900);
    else
      EXPECT_GE(database.writes, 1000);
  }
}

/// Takes writes until told not to, so that a test decides when the database finds the disk full.
class FullDatabase final : public Database {
 public:
  Result<void> write(const Batch& batch) override {
    if (full) return fail(Code::Exhausted, "full");
    return inner_->write(batch);
  }
  Result<std::optional<Bytes>> get(ByteView key) const override { return inner_->get(key); }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override { return inner_->iterate(begin, end); }
  std::unique_ptr<Reader> snapshot() const override { return inner_->snapshot(); }
  Result<void> flush() override { return {}; }
  uint64_t unflushed_bytes() const override { return 0; }
  bool survives_restart() const override { return false; }
  std::atomic<bool> full = false;

 private:
  std::unique_ptr<Database> inner_ = make_memory_database();
};

TEST_F(GroupTest, ACommandLoggedBeforeTheDiskWasFullIsAppliedOnceThereIsRoom) {
  FullDatabase database;
  auto group = *Group::open(disk_, database, machine_, options_, logger_);
  ASSERT_TRUE(group->propose_and_wait("a"));
  database.full = true;
  EXPECT_EQ(group->propose_and_wait("owed").error().code, Code::Timeout);
  EXPECT_EQ(group->propose_and_wait("not done").error().code, Code::Exhausted);
  EXPECT_TRUE(group->healthy());
  EXPECT_EQ(group->applied_slot(), Slot(2));
  database.full = false;
  Result<Bytes> reply = group->propose_and_wait("c");
  while (!reply && reply.error().code == Code::Exhausted) reply = group->propose_and_wait("c");
  EXPECT_EQ(*reply, "3");
  EXPECT_EQ(*CountingMachine::commands(database), (std::vector<Bytes>{"a", "owed", "c"}));
}

TEST_F(GroupTest, StoppingWhileTheDiskIsFullKeepsTheLoggedCommand) {
  {
    FullDatabase database;
    auto group = *Group::open(disk_, database, machine_, options_, logger_);
    database.full = true;
    EXPECT_EQ(group->propose_and_wait("owed").error().code, Code::Timeout);
    group->drain();
  }
  auto group = open();
  EXPECT_EQ(*CountingMachine::commands(*database_), std::vector<Bytes>{"owed"});
}

}  // namespace
}  // namespace hailstone::replica
