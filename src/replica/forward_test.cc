// Commands of members that do not lead.
#include <gtest/gtest.h>

#include <algorithm>

#include "replica/host_cluster.h"

namespace hailstone::replica {
namespace {

class ForwardTest : public HostTest {
 protected:
  Member& follower_of(size_t group) {
    while (true) {
      const ReplicaId leads = leader_of(group).group(group).leader();
      if (leads) return members_[leads.value % 3];
    }
  }
};

TEST_F(ForwardTest, EveryMemberTakesCommandsAndAnswersWhenItShowsThem) {
  must(0, "first");
  size_t count = 1;
  for (int round = 0; round < 20; ++round)
    for (auto& member : members_) {
      const auto reply = member.group(0).propose_and_wait(fmt::format("{}", count));
      ASSERT_TRUE(reply) << reply.error().message;
      EXPECT_EQ(*reply, std::to_string(++count));
      EXPECT_EQ(member.commands().size(), count);
    }
  converge(count);
}

TEST_F(ForwardTest, CommandsOfOneThreadKeepTheirOrderThroughHandovers) {
  must(0, "first");
  constexpr int kEach = 400;
  std::array<std::atomic<int>, 3> answered{};
  for (int i = 0; i < kEach; ++i) {
    for (size_t m = 0; m < 3; ++m)
      members_[m].group(0).propose(fmt::format("{}/{}", m, i), [&, m](const Result<Bytes>& reply) {
        EXPECT_TRUE(reply) << reply.error().message;
        ++answered[m];
      });
    if (i % 100 == 50) leader_of(0).host().resign(GroupId(0), ReplicaId(0));
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (auto& each : answered)
    while (each < kEach && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  converge(1 + 3 * kEach);
  std::array<int, 3> next{};
  for (const Bytes& command : members_[0].commands()) {
    if (command == "first") continue;
    const size_t m = static_cast<size_t>(command[0] - '0');
    EXPECT_EQ(command, fmt::format("{}/{}", m, next[m]++));
  }
}

TEST_F(ForwardTest, TheLeaderServesNoReadBehindAForwardedCommand) {
  must(0, "a");
  converge(1);
  Member& leads = leader_of(0);
  Member& follower = members_[leads.group(0).leader().value % 3];
  leads.machine(0).hold_back(true);
  const auto reply = follower.group(0).propose_and_wait("b");
  EXPECT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(leads.commands().size(), 1u);
  EXPECT_FALSE(leads.group(0).may_read());
  leads.machine(0).hold_back(false);
  converge(2);
}

TEST_F(ForwardTest, ACommandForOneLeadershipIsRefusedInAnyOther) {
  must(0, "a");
  Member& leads = leader_of(0);
  const paxos::Ballot ballot = leads.host().status(GroupId(0)).ballot;
  const auto propose = [&](Member& member, paxos::Ballot only) {
    std::promise<Result<Bytes>> answer;
    member.group(0).propose_in(only, "b", [&](Result<Bytes> reply) { answer.set_value(std::move(reply)); });
    return answer.get_future().get();
  };
  Member& follower = members_[ballot.who.value % 3];
  EXPECT_EQ(propose(follower, ballot).error().code, Code::Unavailable);
  EXPECT_EQ(propose(leads, {ballot.round + 1, ballot.who}).error().code, Code::Unavailable);
  converge(1);
}

TEST_F(ForwardTest, WaitingForASlotEndsWhenItIsAppliedOrInTime) {
  must(0, "a");
  Member& leads = leader_of(0);
  const Slot applied = leads.group(0).applied_slot();
  for (auto& member : members_) {
    std::promise<Result<void>> answer;
    member.group(0).wait_applied(applied, 60'000'000'000,
                                 [&](Result<void> done) { answer.set_value(std::move(done)); });
    EXPECT_TRUE(answer.get_future().get());
    EXPECT_GE(member.group(0).applied_slot(), applied);
  }
  std::promise<Result<void>> never, later;
  Member& follower = follower_of(0);
  follower.group(0).wait_applied(Slot(applied.value + 1000), 1'000'000,
                                 [&](Result<void> done) { never.set_value(std::move(done)); });
  EXPECT_EQ(never.get_future().get().error().code, Code::Timeout);
  follower.group(0).wait_applied(Slot(applied.value + 1), 60'000'000'000,
                                 [&](Result<void> done) { later.set_value(std::move(done)); });
  must(0, "b");
  EXPECT_TRUE(later.get_future().get());
}

class SlowHeartTest : public ForwardTest {
 protected:
  SlowHeartTest() {
    options_.heartbeat_ns = 1'000'000'000;
    options_.grant_ns = 3'000'000'000;
  }
};

TEST_F(SlowHeartTest, AForwardedCommandWaitsForNoHeartbeat) {
  must(0, "a");
  Member& follower = follower_of(0);
  std::vector<int64_t> took_us;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;  // a heartbeat each would take ten times as long
  for (int i = 0; i < 600 && std::chrono::steady_clock::now() < deadline; ++i) {
    const auto began = std::chrono::steady_clock::now();
    const auto reply = follower.group(0).propose_and_wait("x");
    ASSERT_TRUE(reply) << reply.error().message;
    took_us.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count());
  }
  ASSERT_EQ(took_us.size(), 600u);
  std::ranges::sort(took_us);
  RecordProperty("p50_us", static_cast<int>(took_us[300]));
  RecordProperty("p99_us", static_cast<int>(took_us[594]));
}

}  // namespace
}  // namespace hailstone::replica
