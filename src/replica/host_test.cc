#include "replica/host.h"

#include <gtest/gtest.h>

#include "replica/host_cluster.h"

namespace hailstone::replica {
namespace {

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
  start(2);
  must(0, "z");
  converge(32);
  // Another goes: the one that came back is needed now.
  members_[0].stop();
  must(0, "without the first");
  start(0);
  must(0, "again");
  converge(34);
  EXPECT_EQ(members_[0].commands(), members_[2].commands());
}

TEST_F(HostTest, AMemberWithADamagedLogIsHealedByTheOthers) {
  for (int i = 0; i < 40; ++i) must(0, Bytes(500, static_cast<char>('a' + i % 26)));
  converge(40);
  members_[1].stop();
  ASSERT_TRUE(members_[1].disk().flip("log/segment-0000000000000001", 5 * 4096 + 77));
  start(1);
  must(0, "b");
  converge(41);
  const auto blind = [&] { return members_[1].host().status(GroupId(0)).description.contains("blind"); };
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (blind() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  ASSERT_FALSE(blind());
  // It votes again: the others can do without one of them.
  members_[2].stop();
  must(0, "c");
  converge(42);
  EXPECT_EQ(members_[0].commands(), members_[1].commands());
}

TEST_F(HostTest, ReadsShowWhatWasAcknowledgedBeforeOnAnyMember) {
  for (int i = 0; i < 30; ++i) {
    must(0, std::to_string(i));
    for (auto& member : members_) {
      const auto deadline = std::chrono::steady_clock::now() + kPatience;
      Result<void> read = fail(Code::Unavailable, "not tried");
      while (!read && std::chrono::steady_clock::now() < deadline) {
        std::promise<Result<void>> answer;
        member.group(0).read([&](Result<void> ready) { answer.set_value(std::move(ready)); });
        read = answer.get_future().get();
      }
      ASSERT_TRUE(read);
      EXPECT_GE(member.commands().size(), static_cast<size_t>(i + 1));
    }
  }
}

TEST_F(HostTest, TheLeaderServesNoReadBehindWhatAFollowerShowed) {
  must(0, "a");
  converge(1);
  Member& leads = leader_of(0);
  const ReplicaId id = leads.group(0).leader();
  Member& follower = members_[id.value % 3];
  leads.machine(0).hold_back(true);
  leads.group(0).propose("b", [](const Result<Bytes>&) {});
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  do {
    std::promise<Result<void>> answer;
    follower.group(0).read([&](Result<void> ready) { answer.set_value(std::move(ready)); });
    (void)answer.get_future().get();
  } while (follower.commands().size() < 2 && std::chrono::steady_clock::now() < deadline);
  EXPECT_EQ(follower.commands(), (std::vector<Bytes>{"a", "b"}));
  EXPECT_EQ(leads.commands().size(), 1u);
  EXPECT_FALSE(leads.group(0).may_read());
  leads.machine(0).hold_back(false);
  while (!leader_of(0).group(0).may_read() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(leader_of(0).commands().size(), 2u);
}

TEST_F(HostTest, TheLeaderServesNoReadBehindWhatAFollowerHasApplied) {
  must(0, "a");
  converge(1);
  Member& leads = leader_of(0);
  const ReplicaId id = leads.group(0).leader();
  Member& follower = members_[id.value % 3];
  leads.machine(0).hold_back(true);
  leads.group(0).propose("b", [](const Result<Bytes>&) {});
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  // A read that was given an earlier slot there would show it, too.
  while (follower.commands().size() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(follower.commands(), (std::vector<Bytes>{"a", "b"}));
  EXPECT_EQ(leads.commands().size(), 1u);
  EXPECT_FALSE(leads.group(0).may_read());
  leads.machine(0).hold_back(false);
  while (!leader_of(0).group(0).may_read() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(leader_of(0).commands().size(), 2u);
}

TEST_F(HostTest, ALeaderWithoutTheOthersServesNoReadsAfterItsLease) {
  must(0, "a");
  Member& cut = leader_of(0);
  const ReplicaId id = cut.group(0).leader();
  wires_.filter([id](ReplicaId to, Channel) { return to != id; });
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (cut.group(0).may_read() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(cut.group(0).may_read());
  std::promise<Result<void>> answer;
  cut.group(0).read([&](Result<void> ready) { answer.set_value(std::move(ready)); });
  EXPECT_FALSE(answer.get_future().get());
  wires_.filter(nullptr);
  must(0, "b");
}

TEST_F(HostTest, AMemberThatStopsHandsOverFirst) {
  must(0, "a");
  Member& first = leader_of(0);
  const ReplicaId id = first.group(0).leader();
  first.drain();
  // The others were told: nobody waits for a grant to run out.
  must(0, "b");
  Member& second = leader_of(0);
  EXPECT_NE(second.group(0).leader(), id);
  start(id.value - 1);
  converge(2);
}

TEST_F(HostTest, MembersChangeWhileItRuns) {
  must(0, "a");
  const ReplicaId leads = leader_of(0).group(0).leader();
  const ReplicaId gone(leads.value % 3 + 1);
  paxos::Config two{.epoch = 0, .voters = {}};
  for (uint64_t id = 1; id <= 3; ++id)
    if (id != gone.value) two.voters.push_back({.id = ReplicaId(id)});
  Result<void> changed = fail(Code::Unavailable, "not tried");
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!changed && std::chrono::steady_clock::now() < deadline) {
    std::promise<Result<void>> answer;
    leader_of(0).host().reconfigure(GroupId(0), two, [&](Result<void> done) { answer.set_value(std::move(done)); });
    changed = answer.get_future().get();
  }
  ASSERT_TRUE(changed) << changed.error().message;
  members_[gone.value - 1].stop();
  must(0, "b");
  while (leader_of(0).host().status(GroupId(0)).config.voters.size() != 2) must(0, "more"), ++extra_;
  converge(2 + extra_);
}

class RestTest : public HostTest {
 protected:
  RestTest() { options_.rest_after_ns = 50'000'000; }
  void wait_until_all_rest() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (auto& member : members_)
      while (!member.host().status(GroupId(0)).resting && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    for (auto& member : members_) EXPECT_TRUE(member.host().status(GroupId(0)).resting);
  }
};

TEST_F(RestTest, IdleGroupsSayNothingAndWakeWhenAsked) {
  must(0, "a");
  wait_until_all_rest();
  for (int i = 0; i < 3; ++i) {
    must(0, "b");
    wait_until_all_rest();
  }
  converge(4);
}

TEST_F(RestTest, ALeaderThatDiedUnnoticedIsReplacedOnceSomebodyAsks) {
  must(0, "a");
  wait_until_all_rest();
  const ReplicaId leads = members_[0].group(0).leader();
  members_[leads.value - 1].stop();
  must(0, "b");
  converge(2);
}

}  // namespace
}  // namespace hailstone::replica
