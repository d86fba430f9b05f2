// Members of a few groups in one process, on simulated disks, joined by calls: for tests.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "disk/sim_disk.h"
#include "replica/counting_machine.h"
#include "replica/host.h"
#include "replica/rocks_database.h"

namespace hailstone::replica {

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
  void send(ReplicaId from, ReplicaId to, Channel channel, Bytes frame) {
    const std::lock_guard hold(mutex_);
    if (filter_ && !filter_(to, channel)) return;
    if (const auto host = hosts_.find(to); host != hosts_.end()) host->second->receive(from, channel, std::move(frame));
  }
  /// What is false for it is lost.
  void filter(std::function<bool(ReplicaId to, Channel)> passes) {
    const std::lock_guard hold(mutex_);
    filter_ = std::move(passes);
  }

 private:
  std::mutex mutex_;
  std::map<ReplicaId, Host*> hosts_;
  std::function<bool(ReplicaId, Channel)> filter_;
};

struct MemberOptions {
  uint64_t voters = 3, learners = 0;  // from 1 on; of the first configuration
  size_t groups = 3;
  enum class Store : uint8_t { Memory, Rocks } store = Store::Memory;
  uint64_t flush_bytes = 64u << 20;
  uint64_t trim_lag_max = 1u << 20;
  int64_t rest_after_ns = 5'000'000'000;
  int64_t heartbeat_ns = 20'000'000, grant_ns = 200'000'000;
};

class Member final : public Transport {
 public:
  Member(Wires& wires, ReplicaId id) : wires_(wires), id_(id) {}
  ~Member() override { stop(); }

  void send(ReplicaId to, Channel channel, Bytes frame) override { wires_.send(id_, to, channel, std::move(frame)); }

  void start(const MemberOptions& member) {
    HostOptions options{.self = id_};
    options.journal.log = {.directory = "log", .segment_bytes = 256 << 10};
    options.journal.damage = JournalOptions::Damage::Salvage;
    options.consensus.heartbeat_ns = member.heartbeat_ns;
    options.consensus.grant_ns = member.grant_ns;
    options.consensus.trim_lag_max = member.trim_lag_max;
    options.consensus.tail_bytes = 64 << 10;
    options.consensus.rest_after_ns = member.rest_after_ns;
    options.consensus.checksum_every = 16;
    paxos::Config first{.epoch = 1, .voters = {}, .learners = {}};
    for (uint64_t id = 1; id <= member.voters; ++id) first.voters.push_back({.id = ReplicaId(id)});
    for (uint64_t id = 1; id <= member.learners; ++id) first.learners.push_back(ReplicaId(member.voters + id));
    auto host = Host::open(disk_, clock_, this, options, logger_);
    ASSERT_TRUE(host) << host.error().message;
    host_ = std::move(*host);
    groups_.clear();
    databases_.clear();
    machines_.clear();
    for (size_t i = 0; i < member.groups; ++i) {
      if (member.store == MemberOptions::Store::Memory) {
        databases_.push_back(make_memory_database());
      } else {
        auto opened = open_or_replace_rocks_database(
            disk_, {.directory = fmt::format("db-{}", i), .memtable_bytes = 1 << 20, .verify = true}, logger_);
        ASSERT_TRUE(opened) << opened.error().message;
        databases_.push_back(std::move(*opened));
      }
      machines_.push_back(std::make_unique<CountingMachine>());
      auto group = host_->add_group(GroupId(i), *databases_[i], *machines_[i],
                                    {.log_directory = "log", .flush_bytes = member.flush_bytes}, first);
      ASSERT_TRUE(group) << group.error().message;
      groups_.push_back(*group);
    }
    host_->start();
    wires_.attach(id_, host_.get());
  }
  void stop() {
    wires_.detach(id_);
    host_.reset();
    databases_.clear();
  }
  void drain() {
    host_->drain();
    stop();
  }
  bool up() const { return host_ != nullptr; }
  Host& host() { return *host_; }
  Group& group(size_t i) { return *groups_[i]; }
  CountingMachine& machine(size_t i) { return *machines_[i]; }
  std::vector<Bytes> commands(size_t i = 0) const { return *CountingMachine::commands(*databases_[i]); }
  disk::SimDisk& disk() { return disk_; }

 private:
  Wires& wires_;
  const ReplicaId id_;
  disk::SimDisk disk_;
  SystemClock clock_;
  NullLogger logger_;
  std::vector<std::unique_ptr<Database>> databases_;
  std::vector<std::unique_ptr<CountingMachine>> machines_;
  std::unique_ptr<Host> host_;
  std::vector<Group*> groups_;
};

class HostTest : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{60};  // only a failure takes so long

  void SetUp() override {
    for (uint64_t id = 1; id <= options_.voters + options_.learners; ++id) members_.emplace_back(wires_, ReplicaId(id));
    for (auto& member : members_) member.start(options_);
  }
  void start(size_t i) { members_[i].start(options_); }
  Member& leader_of(size_t group) {
    while (true)
      for (auto& member : members_)
        if (member.up() && member.group(group).may_read()) return member;
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

  MemberOptions options_;
  size_t perhaps_ = 0, extra_ = 0;
  Wires wires_;
  std::deque<Member> members_;
};

}  // namespace hailstone::replica
