// Members that do not vote: they take commands, serve reads and keep up.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "replica/host_cluster.h"

namespace hailstone::replica {
namespace {

class LearnerTest : public HostTest {
 protected:
  LearnerTest() { options_.learners = 2; }

  Result<void> read(Member& member) {
    std::promise<Result<void>> answer;
    member.group(0).read([&](Result<void> ready) { answer.set_value(std::move(ready)); });
    return answer.get_future().get();
  }
  void reconfigure(const std::function<void(paxos::Config&)>& change) {
    Result<void> changed = fail(Code::Unavailable, "not tried");
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!changed && std::chrono::steady_clock::now() < deadline) {
      Member& leads = leader_of(0);
      paxos::Config next = leads.host().status(GroupId(0)).config;
      change(next);
      std::promise<Result<void>> answer;
      leads.host().reconfigure(GroupId(0), next, [&](Result<void> done) { answer.set_value(std::move(done)); });
      changed = answer.get_future().get();
    }
    ASSERT_TRUE(changed) << changed.error().message;
  }
};

TEST_F(LearnerTest, LearnersTakeCommandsServeReadsAndKeepUp) {
  must(0, "first");
  size_t count = 1;
  for (int round = 0; round < 20; ++round)
    for (auto& member : members_) {
      const auto reply = member.group(0).propose_and_wait(fmt::format("{}", count));
      ASSERT_TRUE(reply) << reply.error().message;
      EXPECT_EQ(*reply, std::to_string(++count));
      Member& other = members_[count % members_.size()];
      const auto ready = read(other);
      ASSERT_TRUE(ready) << ready.error().message;
      EXPECT_EQ(other.commands().size(), count);
    }
  converge(count);
}

class AwayLearnerTest : public LearnerTest {
 protected:
  AwayLearnerTest() {
    options_.groups = 1;
    options_.store = MemberOptions::Store::Rocks;
    options_.flush_bytes = 256 << 10;
    options_.trim_lag_max = 1;
  }
};

TEST_F(AwayLearnerTest, ALearnerThatWasAwayComesBackBySnapshotAndTakesCommands) {
  must(0, "first");
  members_[4].stop();
  const auto pieces = std::make_shared<std::atomic<int>>(0);  // the members go on after this function
  wires_.filter([pieces](ReplicaId, Channel channel) {
    *pieces += channel == Channel::Snapshots;
    return true;
  });
  size_t count = 1;
  uint64_t noise = 1;
  for (; count < 1200; ++count) {
    Bytes command;
    while (command.size() < 4000) {
      noise = noise * 6364136223846793005u + 1442695040888963407u;
      command.push_back(static_cast<char>('a' + (noise >> 60)));
    }
    must(0, command);
  }
  start(4);
  for (int i = 0; i < 20; ++i) {
    // What it was given while the snapshot came in is done all the same, though it may not see that it was.
    const auto reply = members_[4].group(0).propose_and_wait("x");
    if (reply)
      ++count;
    else if (reply.error().code == Code::Timeout)
      ++perhaps_;
    else
      ASSERT_EQ(reply.error().code, Code::Unavailable) << reply.error().message;
  }
  EXPECT_GT(*pieces, 0);
  converge(count);
}

TEST_F(LearnerTest, LearnersComeAndGoWhileAllProposeAndNothingIsLostOrRepeated) {
  must(0, "first");
  struct Done {
    std::vector<Bytes> done, refused;
    std::set<Bytes> unknown;
  };
  std::vector<Done> results(members_.size());
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (size_t m = 0; m < members_.size(); ++m)
    threads.emplace_back([&, m] {
      for (int i = 0; !stop; ++i) {
        const Bytes command = fmt::format("{}/{:06}", m, i);
        const auto reply = members_[m].group(0).propose_and_wait(command);
        if (reply)
          results[m].done.push_back(command);
        else if (reply.error().code == Code::Timeout)
          results[m].unknown.insert(command);
        else
          results[m].refused.push_back(command);
      }
    });
  for (int round = 0; round < 8; ++round) {
    const ReplicaId moves(4 + round % 2);
    reconfigure([&](paxos::Config& next) { std::erase(next.learners, moves); });
    if (round % 3 == 2) leader_of(0).host().resign(GroupId(0), ReplicaId(0));
    reconfigure([&](paxos::Config& next) {
      if (!next.is_learner(moves)) next.learners.push_back(moves);
    });
  }
  const size_t before = members_[4].commands().size();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (members_[4].commands().size() < before + 20 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  stop = true;
  for (auto& thread : threads) thread.join();
  for (const Done& each : results) perhaps_ += each.unknown.size();
  size_t count = 1;
  for (const Done& each : results) count += each.done.size();
  converge(count);
  std::map<Bytes, int> applied;
  std::map<char, Bytes> last;
  for (const Bytes& command : members_[0].commands()) {
    EXPECT_EQ(++applied[command], 1) << command;
    if (command == "first") continue;
    EXPECT_LT(std::exchange(last[command[0]], command), command);
  }
  for (const Done& each : results) {
    EXPECT_FALSE(each.done.empty());
    for (const Bytes& command : each.done) EXPECT_EQ(applied[command], 1) << command;
    for (const Bytes& command : each.refused) EXPECT_EQ(applied[command], 0) << command;
  }
}

}  // namespace
}  // namespace hailstone::replica
