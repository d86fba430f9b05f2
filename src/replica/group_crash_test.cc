// Group and RocksDB on one simulated disk: crash at any operation, reopen, and every acknowledged command is there
// once.
#include <gtest/gtest.h>

#include <latch>
#include <mutex>

#include "disk/sim_disk.h"
#include "replica/counting_machine.h"
#include "replica/rocks_database.h"

namespace hailstone::replica {
namespace {

using disk::SimDisk;

constexpr int kRounds = 12;
constexpr int kInFlight = 6;
constexpr uint64_t kCrashPoints = 120;  // spread over all operations of a run

/// Sizes from a few bytes to several blocks, so that tables, segments and flushes come often.
Bytes command(uint64_t number) {
  return fmt::format("{:06} ", number) + Bytes(number * 613 % 5000, static_cast<char>('a' + number % 26));
}

struct Node {
  std::unique_ptr<Database> database;
  CountingMachine machine;
  std::unique_ptr<Group> group;  // gone before what it uses
};

Result<std::unique_ptr<Node>> start(SimDisk& disk) {
  static NullLogger logger;
  auto node = std::make_unique<Node>();
  TRY(node->database, open_rocks_database(disk, {.directory = "db", .memtable_bytes = 64 << 10}));
  const GroupOptions options{.log_directory = "log", .flush_bytes = 24 << 10, .log_segment_bytes = 32 << 10};
  TRY(node->group, Group::open(disk, *node->database, node->machine, options, logger));
  return node;
}

/// Proposes from `first` on, several in flight, until done or the group fails. Returns how many were acknowledged:
/// always the first ones. `refusal`: why one was not.
uint64_t work(Node& node, uint64_t first, std::string* refusal = nullptr) {
  uint64_t acknowledged = first;
  for (int round = 0; round < kRounds; ++round) {
    std::mutex mutex;
    std::vector<bool> done(kInFlight);
    std::latch all(kInFlight);
    const uint64_t base = acknowledged;
    for (int i = 0; i < kInFlight; ++i) {
      node.group->propose(command(base + i), [&, i](Result<Bytes> reply) {
        {
          const std::lock_guard hold(mutex);
          done[i] = reply.has_value();
          if (!reply && refusal) *refusal = reply.error().message;
        }
        all.count_down();
      });
    }
    all.wait();
    for (int i = 0; i < kInFlight; ++i) {
      if (!done[i]) {
        for (int later = i; later < kInFlight; ++later) EXPECT_FALSE(done[later]) << "answered out of order";
        return acknowledged;
      }
      ++acknowledged;
    }
  }
  node.group->drain();
  return acknowledged;
}

/// All commands up to some number are there, in order, none twice; at least `acknowledged` of them. Says nothing when
/// the disk crashed again under it.
void expect_whole(const SimDisk& disk, const Node& node, uint64_t acknowledged, uint64_t proposed) {
  const auto read = CountingMachine::commands(*node.database);
  const auto count = CountingMachine::counted(*node.database);
  if (disk.crashed()) return;
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_TRUE(count) << count.error().message;
  const auto& commands = *read;
  ASSERT_GE(commands.size(), acknowledged);
  ASSERT_LE(commands.size(), proposed);
  for (uint64_t number = 0; number < commands.size(); ++number) ASSERT_EQ(commands[number], command(number));
  EXPECT_EQ(*count, commands.size());
  EXPECT_GT(node.group->applied_slot(), Slot(commands.size()));  // and a slot of the leader's own for each life
}

uint64_t operations_of_a_run() {
  SimDisk disk(SimDisk::Growth::Ordered);
  auto node = start(disk);
  if (node) work(**node, 0);
  return disk.operations();
}

class GroupCrash : public testing::TestWithParam<SimDisk::CrashMode> {};

TEST_P(GroupCrash, KeepsEveryAcknowledgedCommandOnce) {
  const uint64_t operations = operations_of_a_run();
  ASSERT_GT(operations, 100u);
  const uint64_t step = std::max<uint64_t>(1, operations / kCrashPoints);
  for (uint64_t operation = 1; operation <= operations; operation += step) {
    SCOPED_TRACE(testing::Message() << "crash at operation " << operation << " of about " << operations);
    SimDisk disk(SimDisk::Growth::Ordered);
    disk.crash_at(operation);
    uint64_t acknowledged = 0;
    if (auto node = start(disk)) acknowledged = work(**node, 0);
    const uint64_t proposed = acknowledged + kInFlight;
    // The second life crashes too, then the third must find everything.
    disk.restart(GetParam(), operation);
    {
      disk.crash_at(disk.operations() + 1 + operation * 7 % 60);
      if (auto node = start(disk)) expect_whole(disk, **node, acknowledged, proposed);
    }
    disk.restart(GetParam(), operation + 1);
    auto node = start(disk);
    ASSERT_TRUE(node) << node.error().message;
    expect_whole(disk, **node, acknowledged, proposed);
    const uint64_t count = *CountingMachine::counted(*(*node)->database);
    std::string refusal;
    EXPECT_EQ(work(**node, count, &refusal), count + kRounds * kInFlight) << refusal;
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST_P(GroupCrash, FailedOperationsLoseNothingAcknowledged) {
  const uint64_t operations = operations_of_a_run();
  const uint64_t step = std::max<uint64_t>(1, operations / kCrashPoints);
  for (uint64_t operation = 2; operation <= operations; operation += step) {
    SCOPED_TRACE(testing::Message() << "failure of operation " << operation << " of about " << operations);
    SimDisk disk(SimDisk::Growth::Ordered);
    disk.fail_at(operation);
    uint64_t acknowledged = 0;
    if (auto node = start(disk)) acknowledged = work(**node, 0);
    disk.restart(GetParam(), operation);
    auto node = start(disk);
    ASSERT_TRUE(node) << node.error().message;
    expect_whole(disk, **node, acknowledged, acknowledged + kInFlight);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
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
INSTANTIATE_TEST_SUITE_P(Modes, GroupCrash,
                         testing::Values(SimDisk::CrashMode::Drop, SimDisk::CrashMode::Keep, SimDisk::CrashMode::Torn),
                         mode_name);

}  // namespace
}  // namespace hailstone::replica
