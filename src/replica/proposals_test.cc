#include "replica/proposals.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace hailstone::replica {
namespace {

using paxos::GroupId;
using paxos::ReplicaId;
using paxos::Time;

constexpr int64_t kMs = 1'000'000;

/// Three voters whose disks are at once, and messages in a queue: nothing happens but what a test asks for.
class ProposalsTest : public testing::Test {
 protected:
  struct Node {
    std::optional<paxos::Replica> replica;
    std::optional<Proposals> queue;
    std::vector<Bytes> log;
    std::optional<Error> refusal;
    std::map<Bytes, std::string> answers;
  };
  struct Sent {
    size_t from, to;
    std::variant<paxos::Message, ForwardMessage> message;
  };

  ProposalsTest() {
    paxos::Boot boot;
    boot.no_grants_outstanding = true;
    boot.base.configs = {{.epoch = 1, .voters = {{.id = ReplicaId(1)}, {.id = ReplicaId(2)}, {.id = ReplicaId(3)}}}};
    for (size_t i = 0; i < 3; ++i) {
      paxos::Options options{.group = GroupId(0), .self = ReplicaId(i + 1), .life = paxos::LifeId(100 + i)};
      nodes_[i].replica.emplace(options, boot, now_);
      nodes_[i].queue.emplace(
          Proposals::Options{.group = GroupId(0), .self = options.self, .life = options.life, .resend_ns = 100 * kMs});
    }
    step(0, paxos::Tick{});  // it stands first; the others would a little later
    settle();
    run_until(
        [&] { return nodes_[1].replica->leader() == ReplicaId(1) && nodes_[2].replica->leader() == ReplicaId(1); });
  }

  void step(size_t i, paxos::Input input) {
    Node& node = nodes_[i];
    paxos::Output out;
    node.replica->step(now_, std::move(input), out);
    for (auto& message : out.messages) send(i, std::move(message));
    for (const auto& outcome : out.outcomes) node.queue->settle(outcome);
    for (const auto& record : out.commits) {
      const auto done = node.queue->chosen(record);
      if (is_command(record)) node.log.emplace_back(*command_of(record));
      if (done) done(Bytes("done"));
    }
    paxos::WriteId last;
    for (auto& write : out.writes) {
      last = write.id;
      for (auto& message : write.after) send(i, std::move(message));
    }
    if (last) step(i, paxos::Persisted{.upto = last});
  }
  void send(size_t from, paxos::Message message) {
    const size_t to = message.to.value - 1;
    sent_.push_back({from, to, std::move(message)});
  }
  void turn(size_t i) {
    Node& node = nodes_[i];
    auto turn = node.queue->turn(now_, *node.replica, node.refusal);
    for (auto& [to, message] : turn.messages) sent_.push_back({i, to.value - 1, std::move(message)});
    if (!turn.proposals.empty() || turn.ask) step(i, paxos::Propose{.proposals = std::move(turn.proposals)});
  }
  void deliver(Sent sent) {
    if (lost_ && lost_(sent)) return;
    if (auto* message = std::get_if<paxos::Message>(&sent.message))
      step(sent.to, paxos::Receive{.message = std::move(*message)});
    else
      nodes_[sent.to].queue->receive(ReplicaId(sent.from + 1), std::move(std::get<ForwardMessage>(sent.message)));
    turn(sent.to);
  }
  void settle() {
    while (!sent_.empty()) {
      Sent next = std::move(sent_.front());
      sent_.pop_front();
      deliver(std::move(next));
    }
  }
  void run_until(const std::function<bool()>& reached) {
    for (int i = 0; i < 2000 && !reached(); ++i) {
      now_ = now_ + 5 * kMs;
      for (size_t n = 0; n < 3; ++n) {
        step(n, paxos::Tick{});
        turn(n);
      }
      settle();
    }
    EXPECT_TRUE(reached());
  }
  void propose(size_t i, const Bytes& command, paxos::Ballot only = {}) {
    nodes_[i].queue->add(
        std::make_shared<const Bytes>(command),
        [this, i, command](const Result<Bytes>& reply) {
          EXPECT_FALSE(nodes_[i].answers.contains(command));
          nodes_[i].answers[command] = reply ? "done" : std::string(code_name(reply.error().code));
        },
        only, now_);
    turn(i);
  }
  const std::string& answer(size_t i, const Bytes& command) { return nodes_[i].answers[command]; }
  bool answered(size_t i, const Bytes& command) { return nodes_[i].answers.contains(command); }
  static bool is_forward(const Sent& sent) {
    const auto* message = std::get_if<ForwardMessage>(&sent.message);
    return message && std::holds_alternative<Forward>(*message);
  }
  static bool is_reply(const Sent& sent) {
    const auto* message = std::get_if<ForwardMessage>(&sent.message);
    return message && std::holds_alternative<ForwardReply>(*message);
  }

  Time now_{1'000'000'000};
  std::array<Node, 3> nodes_;
  std::deque<Sent> sent_;
  std::function<bool(const Sent&)> lost_;
};

TEST_F(ProposalsTest, ACommandIsAnsweredWithoutTimePassing) {
  propose(1, "a");
  propose(0, "b");
  settle();
  EXPECT_EQ(answer(1, "a"), "done");
  EXPECT_EQ(answer(0, "b"), "done");
  EXPECT_EQ(nodes_[1].log.size(), 2u);
  EXPECT_TRUE(nodes_[1].queue->idle());
  EXPECT_EQ(nodes_[1].queue->next_wakeup(), paxos::kNever);
}

TEST_F(ProposalsTest, WhatComesTwiceOrLateIsTakenOnce) {
  propose(1, "a");
  std::vector<Sent> again;
  for (const Sent& each : sent_)
    if (is_forward(each)) again.push_back(each);
  ASSERT_EQ(again.size(), 1u);
  sent_.push_back(again[0]);
  settle();
  propose(1, "b");
  settle();
  deliver(again[0]);
  settle();
  EXPECT_EQ(nodes_[0].log, (std::vector<Bytes>{"a", "b"}));
}

TEST_F(ProposalsTest, WhatIsLostIsSentAgainAndNotOvertaken) {
  lost_ = is_forward;
  propose(1, "a");
  settle();
  lost_ = nullptr;
  propose(1, "b");
  settle();
  EXPECT_FALSE(answered(1, "b"));
  const Time before = now_;
  run_until([&] { return answered(1, "b"); });
  EXPECT_LE(now_ - before, 105 * kMs);
  EXPECT_EQ(nodes_[2].log, (std::vector<Bytes>{"a", "b"}));
}

TEST_F(ProposalsTest, WhatTheLeaderRefusedIsNotDoneThoughItComesAgain) {
  nodes_[0].refusal = Error{Code::Exhausted, "disk full"};
  propose(1, "a");
  const Sent again = sent_.front();
  ASSERT_TRUE(is_forward(again));
  deliver(again);  // and its answer is still on its way
  nodes_[0].refusal.reset();
  settle();
  deliver(again);
  settle();
  EXPECT_EQ(answer(1, "a"), "exhausted");
  EXPECT_TRUE(nodes_[0].log.empty());
  propose(1, "b");
  settle();
  EXPECT_EQ(answer(1, "b"), "done");
}

TEST_F(ProposalsTest, WhatADeposedLeaderTookIsGivenToTheNextInOrder) {
  propose(2, "x");
  settle();
  // The leader gets commands of its own and another's, and nobody hears of it any more.
  lost_ = [](const Sent& sent) { return sent.from == 0; };
  propose(0, "own");
  propose(1, "a");
  propose(1, "b");
  settle();
  run_until([&] {
    return nodes_[1].replica->role() == paxos::Role::Leader || nodes_[2].replica->role() == paxos::Role::Leader;
  });
  lost_ = nullptr;
  propose(1, "c");
  run_until([&] { return answered(1, "c") && answered(0, "own"); });
  EXPECT_EQ(answer(1, "a"), "done");
  EXPECT_EQ(answer(1, "b"), "done");
  std::vector<Bytes> others = nodes_[1].log;
  EXPECT_EQ(std::erase(others, "own"), answer(0, "own") == "done" ? 1u : 0u);
  EXPECT_EQ(others, (std::vector<Bytes>{"x", "a", "b", "c"}));
}

TEST_F(ProposalsTest, ALeaderTakesNothingThatWasMeantForAnEarlierLeadership) {
  propose(1, "a");
  Sent late = sent_.front();
  ASSERT_TRUE(is_forward(late));
  settle();
  step(0, paxos::Resign{.to = ReplicaId(2)});
  run_until([&] { return nodes_[1].replica->may_read(now_); });
  step(1, paxos::Resign{.to = ReplicaId(1)});
  run_until([&] { return nodes_[0].replica->may_read(now_); });
  deliver(late);
  settle();
  EXPECT_EQ(nodes_[0].log, (std::vector<Bytes>{"a"}));
}

TEST_F(ProposalsTest, WhatIsUnderWayWhenASnapshotComesMayBeDone) {
  lost_ = [](const Sent& sent) { return sent.to == 1; };
  propose(1, "a");
  settle();
  nodes_[1].queue->snapshot_installed();
  EXPECT_EQ(answer(1, "a"), "timeout");
  EXPECT_EQ(nodes_[0].log, (std::vector<Bytes>{"a"}));
}

TEST_F(ProposalsTest, NobodyWaitsForEver) {
  lost_ = [](const Sent& sent) { return sent.from == 0 || sent.to == 0 || !is_forward(sent); };
  propose(1, "given");
  const Time before = now_;
  run_until([&] { return answered(1, "given"); });
  EXPECT_EQ(answer(1, "given"), "timeout");
  EXPECT_LE(now_ - before, 5'100 * kMs);
  propose(1, "kept");
  run_until([&] { return answered(1, "kept"); });
  EXPECT_EQ(answer(1, "kept"), "unavailable");
}

TEST_F(ProposalsTest, ACommandForOneLeadershipIsProposedInNoOther) {
  const paxos::Ballot leads = nodes_[0].replica->ballot();
  propose(0, "mine", leads);
  propose(1, "not mine", leads);
  propose(0, "not yet", {leads.round + 1, leads.who});
  settle();
  EXPECT_EQ(answer(0, "mine"), "done");
  EXPECT_EQ(answer(1, "not mine"), "unavailable");
  EXPECT_EQ(answer(0, "not yet"), "unavailable");
  // Deposed before it is chosen: it does not go to the next.
  lost_ = [](const Sent& sent) { return sent.from == 0; };
  propose(0, "under way", leads);
  run_until([&] {
    return nodes_[1].replica->role() == paxos::Role::Leader || nodes_[2].replica->role() == paxos::Role::Leader;
  });
  lost_ = nullptr;
  propose(1, "next");
  run_until([&] { return answered(1, "next") && answered(0, "under way"); });
  EXPECT_NE(answer(0, "under way"), "done");
  EXPECT_EQ(nodes_[1].log, (std::vector<Bytes>{"mine", "next"}));
}

}  // namespace
}  // namespace hailstone::replica
