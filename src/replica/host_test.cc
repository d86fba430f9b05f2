#include "replica/host.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "disk/sim_disk.h"
#include "replica/counting_machine.h"

namespace hailstone::replica {
namespace {

using paxos::GroupId;
using paxos::ReplicaId;

/// Frames go straight to the other host; a member that is down gets none.
class Wires {
 public:
  void attach(ReplicaId id, Host* host) {
    const std::lock_guard hold(mutex_);
    hosts_[id] = host;
  }
  void detach(ReplicaId id) {
    const std::lock_guard hold(mutex_);
    hosts_.erase(id);
  }
  void send(ReplicaId to, Bytes frame) {
    const std::lock_guard hold(mutex_);
    if (const auto host = hosts_.find(to); host != hosts_.end()) host->second->receive(std::move(frame));
  }

 private:
  std::mutex mutex_;
  std::map<ReplicaId, Host*> hosts_;
};

class Member final : public Transport {
 public:
  Member(Wires& wires, ReplicaId id) : wires_(wires), id_(id) {}
  ~Member() override { stop(); }

  void send(ReplicaId to, Bytes frame) override { wires_.send(to, std::move(frame)); }

  void start() {
    HostOptions options{.self = id_};
    options.journal.log = {.directory = "log", .segment_bytes = 256 << 10};
    options.journal.damage = JournalOptions::Damage::Salvage;
    options.consensus.heartbeat_ns = 20'000'000;
    options.consensus.grant_ns = 200'000'000;
    const paxos::Config first{.epoch = 1, .voters = {{.id = ReplicaId(1)}, {.id = ReplicaId(2)}, {.id = ReplicaId(3)}}};
    database_ = make_memory_database();
    auto host = Host::open(disk_, clock_, this, options, logger_);
    ASSERT_TRUE(host) << host.error().message;
    host_ = std::move(*host);
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (i > 0) databases_[i] = make_memory_database();
      auto group = host_->add_group(GroupId(i), i == 0 ? *database_ : *databases_[i], i == 0 ? machine_ : machines_[i],
                                    {.log_directory = "log"}, first);
      ASSERT_TRUE(group) << group.error().message;
      groups_[i] = *group;
    }
    host_->start();
    wires_.attach(id_, host_.get());
  }
  void stop() {
    wires_.detach(id_);
    host_.reset();
  }
  bool up() const { return host_ != nullptr; }
  Group& group(size_t i) { return *groups_[i]; }
  std::vector<Bytes> commands() const { return *CountingMachine::commands(*database_); }
  disk::SimDisk& disk() { return disk_; }

 private:
  Wires& wires_;
  const ReplicaId id_;
  disk::SimDisk disk_;
  SystemClock clock_;
  NullLogger logger_;
  std::unique_ptr<Database> database_;
  std::array<std::unique_ptr<Database>, 3> databases_;
  CountingMachine machine_;
  std::array<CountingMachine, 3> machines_;
  std::unique_ptr<Host> host_;
  std::array<Group*, 3> groups_{};
};

class HostTest : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{60};  // only a failure takes so long

  void SetUp() override {
    for (auto& member : members_) member.start();
  }
  /// Asks one member after another until one takes the command; it is done then.
  void must(size_t group, const Bytes& command) {
    for (const auto deadline = std::chrono::steady_clock::now() + kPatience;
         std::chrono::steady_clock::now() < deadline;) {
      for (auto& member : members_) {
        if (!member.up()) continue;
        const auto reply = member.group(group).propose_and_wait(command);
        if (reply) return;
        // On a machine that is busy enough the leader changes, and a command may have been done unseen.
        if (reply.error().code == Code::Timeout)
          ++perhaps_;
        else
          ASSERT_EQ(reply.error().code, Code::Unavailable) << reply.error().message;
      }
      std::this_thread::yield();
    }
    FAIL() << "nobody leads";
  }
  /// All members that run have applied the same commands, so many; more only where an answer was lost.
  void converge(size_t count) {
    const auto done = [&] {
      const Member* first = nullptr;
      for (auto& member : members_) {
        if (!member.up()) continue;
        if (member.commands().size() < count || (first && member.commands() != first->commands())) return false;
        first = &member;
      }
      return true;
    };
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_TRUE(done());
    for (auto& member : members_)
      if (member.up()) EXPECT_LE(member.commands().size(), count + perhaps_);
  }

  size_t perhaps_ = 0;
  Wires wires_;
  std::array<Member, 3> members_{Member(wires_, ReplicaId(1)), Member(wires_, ReplicaId(2)),
                                 Member(wires_, ReplicaId(3))};
};

TEST_F(HostTest, ThreeMembersApplyTheSameInEveryGroup) {
  for (int i = 0; i < 50; ++i)
    for (size_t group = 0; group < 3; ++group) must(group, std::to_string(i));
  converge(50);
  EXPECT_EQ(members_[0].commands(), members_[1].commands());
  EXPECT_EQ(members_[1].commands(), members_[2].commands());
}

TEST_F(HostTest, AMemberThatWasAwayCatchesUp) {
  must(0, "a");
  members_[2].stop();
  for (int i = 0; i < 30; ++i) must(0, std::to_string(i));
  members_[2].start();
  must(0, "z");
  converge(32);
  // Another goes: the one that came back is needed now.
  members_[0].stop();
  must(0, "without the first");
  members_[0].start();
  must(0, "again");
  converge(34);
  EXPECT_EQ(members_[0].commands(), members_[2].commands());
}

TEST_F(HostTest, AMemberWithADamagedLogIsHealedByTheOthers) {
  for (int i = 0; i < 40; ++i) must(0, Bytes(500, static_cast<char>('a' + i % 26)));
  converge(40);
  members_[1].stop();
  ASSERT_TRUE(members_[1].disk().flip("log/segment-0000000000000001", 5 * 4096 + 77));
  members_[1].start();
  must(0, "b");
  converge(41);
  // It votes again: the others can do without one of them.
  members_[2].stop();
  must(0, "c");
  converge(42);
  EXPECT_EQ(members_[0].commands(), members_[1].commands());
}

}  // namespace
}  // namespace hailstone::replica
