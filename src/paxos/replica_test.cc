// Properties of step() that no single situation shows: determinism, time, strangers, bounds. Situations are in
// testdata/.
#include "paxos/replica.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <random>
#include <set>

#include "paxos/scenario.h"
#include "paxos/wire.h"

namespace hailstone::paxos {
namespace {

constexpr int64_t kMs = 1'000'000;

SharedBytes value(size_t bytes) { return std::make_shared<const Bytes>(bytes, 'v'); }

Options options_of(uint64_t id) {
  return {.group = GroupId(1), .self = ReplicaId(id), .life = LifeId(id), .alpha = 64, .checksum_every = 0};
}

Boot fresh(uint64_t voters) {
  Config config{.epoch = 1, .governs_from = Slot(1)};
  for (uint64_t id = 1; id <= voters; ++id) config.voters.push_back({.id = ReplicaId(id)});
  return {.base = {.configs = {config}}, .no_grants_outstanding = true};
}

/// Replicas 1 to n with disks that are fast and a network that loses what `lost` says.
struct Cluster {
  explicit Cluster(uint64_t n, const std::function<void(Options&)>& change = [](Options&) {}) {
    for (uint64_t id = 1; id <= n; ++id) {
      Options options = options_of(id);
      change(options);
      replicas.emplace_back(options, fresh(n), now);
    }
    step(1, Tick{});
    deliver();
  }

  Replica& at(uint64_t id) { return replicas[id - 1]; }

  void step(uint64_t id, Input input) {
    Output output;
    at(id).step(now, std::move(input), output);
    if (++steps < 10'000 || steps % 1000 == 0) at(id).check_invariants();  // O(window)
    for (Message& message : output.messages) flight.push_back(std::move(message));
    for (const Outcome& outcome : output.outcomes) outcomes.push_back(outcome);
    for (const Event& event : output.events) events.push_back(event);
    commits += output.commits.size();
    WriteId last;
    for (Write& write : output.writes) {
      for (Message& message : write.after) flight.push_back(std::move(message));
      last = write.id;
    }
    if (!output.commits.empty()) step(id, Applied{.upto = output.commits.back().slot});
    if (last) step(id, Persisted{.upto = last});
  }

  void deliver() {
    while (!flight.empty()) {
      const Message message = std::move(flight.front());
      flight.pop_front();
      if (lost(message)) continue;
      ++delivered;
      step(message.to.value, Receive{.message = message});
    }
  }

  void propose(size_t bytes) {
    step(1, Propose{.proposals = {{.tag = 1, .data = value(bytes)}}});
    deliver();
  }

  std::vector<Replica> replicas;
  Time now{1'000'000'000};
  std::deque<Message> flight;
  std::function<bool(const Message&)> lost = [](const Message&) { return false; };
  std::vector<Outcome> outcomes;
  std::vector<Event> events;
  size_t commits = 0, delivered = 0, steps = 0;
};

Bytes bytes_of(const Output& output) {
  Bytes all;
  const auto add = [&](const Message& message) { encode(message, all); };
  for (const Message& message : output.messages) add(message);
  Encoder out(all);
  for (const Write& write : output.writes) {
    out.u64(write.id.value);
    encode(write.hard, out);
    for (const Record& record : write.records) encode(record, out);
    for (const Message& message : write.after) add(message);
  }
  for (const Record& record : output.commits) encode(record, out);
  for (const Outcome& outcome : output.outcomes) out.u64(outcome.tag << 8 | static_cast<uint64_t>(outcome.result));
  for (const ReadAt& read : output.reads) out.u64(read.tag << 32 | read.index.value);
  out.u64(output.events.size());
  return all;
}

// Two replicas of the same options that see the same inputs, whatever these are, say the same, byte for byte.
TEST(Replica, SameInputsGiveEqualOutputs) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<Replica> once, twice;
    for (uint64_t id = 1; id <= 3; ++id) {
      once.emplace_back(options_of(id), fresh(3), Time{0});
      twice.emplace_back(options_of(id), fresh(3), Time{0});
    }
    Time now{0};
    std::vector<Message> flight;
    size_t steps_with_output = 0;
    for (int i = 0; i < 600; ++i) {
      const size_t who = random() % 3;
      Input input = Tick{};
      const uint64_t kind = random() % 20;
      now = now + static_cast<int64_t>(random() % (5 * kMs));
      if (kind == 0) input = Propose{.proposals = {{.tag = random() % 1000, .data = value(random() % 50)}}};
      if (kind == 1) input = Read{.tag = random() % 1000};
      if (kind == 2 && i > 300) input = Resign{};
      if (kind > 2 && !flight.empty()) {
        const size_t pick = random() % flight.size();
        input = Receive{.message = flight[pick]};
        if (random() % 10) flight.erase(flight.begin() + static_cast<ptrdiff_t>(pick));
      }
      const size_t to = std::holds_alternative<Receive>(input) ? std::get<Receive>(input).message.to.value - 1 : who;
      Output a, b;
      once[to].step(now, Input(input), a);
      twice[to].step(now, Input(input), b);
      ASSERT_EQ(bytes_of(a), bytes_of(b)) << "seed " << seed << " step " << i;
      ASSERT_EQ(once[to].describe(), twice[to].describe());
      ASSERT_EQ(once[to].next_wakeup(), twice[to].next_wakeup());
      steps_with_output += a.empty() ? 0 : 1;
      for (Write& write : a.writes) {
        for (Message& message : write.after) flight.push_back(message);
        Output c, d;
        once[to].step(now, Persisted{.upto = write.id}, c);
        twice[to].step(now, Persisted{.upto = write.id}, d);
        ASSERT_EQ(bytes_of(c), bytes_of(d)) << "seed " << seed << " step " << i;
        for (Message& message : c.messages) flight.push_back(message);
      }
      for (Message& message : a.messages) flight.push_back(message);
    }
    EXPECT_GT(steps_with_output, 100u);
  }
}

TEST(Replica, RepeatedTicksDoNothing) {
  Cluster cluster(3);
  for (int i = 0; i < 30; ++i) {
    cluster.now = cluster.now + 50 * kMs;
    for (uint64_t id = 1; id <= 3; ++id) cluster.step(id, Tick{});
    cluster.deliver();
    for (uint64_t id = 1; id <= 3; ++id) {
      Output output;
      for (int again = 0; again < 5; ++again) cluster.at(id).step(cluster.now, Tick{}, output);
      EXPECT_TRUE(output.empty()) << "replica " << id << " after " << i << " heartbeats";
    }
  }
  EXPECT_EQ(cluster.at(1).role(), Role::Leader);
}

// A host that stood still for an hour: the late tick may cost the leadership, nothing else.
TEST(Replica, ALateTickIsHarmless) {
  Cluster cluster(3);
  cluster.propose(10);
  cluster.now = cluster.now + 3600ll * 1000 * kMs;
  EXPECT_FALSE(cluster.at(1).may_read(cluster.now));
  for (uint64_t id = 1; id <= 3; ++id) cluster.step(id, Tick{});
  cluster.deliver();
  for (int i = 0; i < 40; ++i) {
    cluster.now = cluster.now + 50 * kMs;
    for (uint64_t id = 1; id <= 3; ++id) cluster.step(id, Tick{});
    cluster.deliver();
  }
  size_t leaders = 0;
  for (uint64_t id = 1; id <= 3; ++id) {
    leaders += cluster.at(id).role() == Role::Leader;
    EXPECT_EQ(cluster.at(id).chosen(), cluster.at(1).chosen());
    EXPECT_GE(cluster.at(id).chosen(), Slot(3));
  }
  EXPECT_EQ(leaders, 1u);
}

// After a tick at next_wakeup() the next one is later: a driver that does as told never spins. In each state a replica
// can be in for long.
TEST(Replica, WakeupsMoveOn) {
  const auto check = [](Cluster& cluster, const char* what) {
    for (uint64_t id = 1; id <= cluster.replicas.size(); ++id) {
      Time now = cluster.now;
      for (int i = 0; i < 200; ++i) {
        const Time next = cluster.at(id).next_wakeup();
        if (next == kNever) break;
        now = std::max(now, next);
        Output output;
        cluster.at(id).step(now, Tick{}, output);
        WriteId last;
        for (const Write& write : output.writes) last = write.id;
        if (last) cluster.at(id).step(now, Persisted{.upto = last}, output);
        ASSERT_GT(cluster.at(id).next_wakeup(), now) << what << ": replica " << id << ": " << cluster.at(id).describe();
      }
    }
  };
  {
    Cluster cluster(3);
    check(cluster, "idle, then everybody alone");
  }
  {
    Cluster cluster(1);
    EXPECT_EQ(cluster.at(1).role(), Role::Leader);
    check(cluster, "a group of one");
  }
  {
    Cluster cluster(3);
    cluster.lost = [](const Message& m) { return m.to == ReplicaId(3) || m.from == ReplicaId(3); };
    for (int i = 0; i < 200; ++i) cluster.propose(10);
    cluster.lost = [](const Message& m) { return m.to == ReplicaId(1); };
    cluster.now = cluster.now + 50 * kMs;
    cluster.step(1, Tick{});
    cluster.deliver();
    EXPECT_LT(cluster.at(3).chosen(), cluster.at(1).chosen());
    check(cluster, "one that learns, and nobody answers");
  }
  {
    Cluster cluster(3);
    cluster.lost = [](const Message& m) { return m.to == ReplicaId(1); };
    cluster.propose(10);
    cluster.step(2, Read{.tag = 7});
    cluster.step(3, Read{.tag = 8});
    cluster.step(1, Read{.tag = 9});
    cluster.step(1, Resign{.to = ReplicaId(2)});
    check(cluster, "reads and a hand-over under way");
  }
  {
    Cluster cluster(3);
    cluster.lost = [](const Message& m) { return std::holds_alternative<Promise>(m.body); };
    for (uint64_t id = 2; id <= 3; ++id) cluster.step(id, PeerDown{.who = ReplicaId(1)});
    cluster.now = cluster.now + 1001 * kMs;
    cluster.step(2, Tick{});
    cluster.deliver();
    EXPECT_EQ(cluster.at(2).role(), Role::Candidate);
    check(cluster, "a candidate in phase 1");
  }
  {
    Cluster cluster(3);
    cluster.step(2, PersistFailed{});
    EXPECT_EQ(cluster.at(2).role(), Role::Stopped);
    EXPECT_EQ(cluster.at(2).next_wakeup(), kNever);
  }
}

// ---- who is listened to ----

/// What replica `id` says and does about `message`.
Output hear(Cluster& cluster, uint64_t id, Body body, uint64_t from, uint64_t group = 1, uint64_t to = 0) {
  Output output;
  cluster.at(id).step(cluster.now,
                      Receive{.message = {.group = GroupId(group),
                                          .from = ReplicaId(from),
                                          .to = ReplicaId(to ? to : id),
                                          .body = std::move(body)}},
                      output);
  cluster.at(id).check_invariants();
  return output;
}

TEST(Replica, IgnoresWhatIsForOthers) {
  Cluster cluster(3);
  const Ballot high{50, ReplicaId(3)};
  for (const Body& body : {Body(Prepare{.ballot = high, .from = Slot(1)}), Body(Accept{.ballot = high, .end = Slot(9)}),
                           Body(Probe{.ballot = high}), Body(Learn{.first = Slot(1), .last = Slot(1)}),
                           Body(ReadRequest{.id = ReadId(1)}), Body(Refuse{.promised = high})}) {
    EXPECT_TRUE(hear(cluster, 1, body, 3, 2).empty()) << "another group: " << body_name(body);
    EXPECT_TRUE(hear(cluster, 1, body, 3, 1, 2).empty()) << "another replica: " << body_name(body);
  }
  EXPECT_EQ(cluster.at(1).role(), Role::Leader);
}

TEST(Replica, ABallotIsOnlyItsOwnersToUse) {
  Cluster cluster(3);
  EXPECT_TRUE(hear(cluster, 2, Prepare{.ballot = {50, ReplicaId(1)}, .from = Slot(1)}, 3).empty());
  EXPECT_TRUE(hear(cluster, 2, Accept{.ballot = {50, ReplicaId(1)}, .end = Slot(9)}, 3).empty());
  EXPECT_EQ(cluster.at(2).ballot(), (Ballot{1, ReplicaId(1)}));
}

TEST(Replica, StrangersCountForNothing) {
  Cluster cluster(3);
  cluster.lost = [](const Message& m) { return m.to == ReplicaId(1); };
  cluster.propose(10);
  const Ballot ballot{1, ReplicaId(1)};
  EXPECT_TRUE(hear(cluster, 1, Accepted{.ballot = ballot, .stamp = 1, .upto = Slot(2), .chosen = Slot(1)}, 77).empty());
  EXPECT_EQ(cluster.at(1).chosen(), Slot(1));
  EXPECT_TRUE(hear(cluster, 1, Refuse{.promised = {99, ReplicaId(77)}}, 77).empty());
  EXPECT_EQ(cluster.at(1).role(), Role::Leader) << "a stranger's refusal deposes nobody";
  const Output told = hear(cluster, 2, Probe{.ballot = {99, ReplicaId(77)}}, 77);
  ASSERT_EQ(told.messages.size(), 1u);
  EXPECT_TRUE(std::get<ProbeReply>(told.messages[0].body).removed);
  EXPECT_FALSE(std::get<ProbeReply>(told.messages[0].body).would);
}

TEST(Replica, AnswersToOtherBallotsCountForNothing) {
  Cluster cluster(3);
  cluster.lost = [](const Message& m) { return m.to == ReplicaId(1); };
  cluster.propose(10);
  for (const Ballot other : {Ballot{1, ReplicaId(2)}, Ballot{2, ReplicaId(1)}, Ballot{}}) {
    EXPECT_TRUE(hear(cluster, 1, Accepted{.ballot = other, .stamp = 3, .upto = Slot(2)}, 2).empty());
    EXPECT_TRUE(hear(cluster, 1, Promise{.ballot = other, .from = Slot(1)}, 2).empty());
    EXPECT_TRUE(hear(cluster, 1, ProbeReply{.ballot = other, .would = true}, 2).empty());
    EXPECT_TRUE(hear(cluster, 1, Values{.ballot = other}, 2).empty());
    EXPECT_TRUE(hear(cluster, 1, Handoff{.ballot = other, .to = ReplicaId(1)}, 2).empty());
  }
  EXPECT_EQ(cluster.at(1).chosen(), Slot(1));
  // An acknowledgement may claim more than was proposed; no more than that is chosen.
  const Output output =
      hear(cluster, 1, Accepted{.ballot = {1, ReplicaId(1)}, .stamp = 1, .upto = Slot(1000), .chosen = Slot(1)}, 2);
  EXPECT_EQ(cluster.at(1).chosen(), Slot(2));
  EXPECT_EQ(output.commits.size(), 1u);
}

TEST(Replica, RecordsDamagedOnTheWayAreNotStored) {
  Cluster cluster(3);
  cluster.lost = [](const Message&) { return true; };
  cluster.step(1, Propose{.proposals = {{.tag = 1, .data = value(10)}}});
  ASSERT_FALSE(cluster.flight.empty());
  Accept accept = std::get<Accept>(cluster.flight.front().body);
  ASSERT_EQ(accept.records.size(), 1u);
  accept.records[0].data = value(11);
  const Output output = hear(cluster, 2, accept, 1);
  for (const Write& write : output.writes) EXPECT_TRUE(write.records.empty());
  EXPECT_EQ(cluster.at(2).chosen(), Slot(1));
}

// ---- bounds ----

// One of three is dead for a hundred thousand proposals, which come in no time, or one a millisecond.
TEST(Replica, ADeadPeerCostsBoundedMemory) {
  for (const auto& [step_ns, proposals] : {std::pair{int64_t{0}, 100'000u}, std::pair{kMs, 20'000u}}) {
    Cluster cluster(3, [](Options& options) {
      options.inflight_bytes = 64 << 10;
      options.tail_bytes = 64 << 10;
    });
    cluster.lost = [](const Message& m) { return m.to == ReplicaId(3) || m.from == ReplicaId(3); };
    size_t most = 0;
    for (uint32_t i = 0; i < proposals; ++i) {
      cluster.now = cluster.now + step_ns;
      cluster.propose(100);
      most = std::max({most, cluster.at(1).bytes_in_use(), cluster.at(2).bytes_in_use()});
    }
    EXPECT_EQ(cluster.at(1).chosen(), Slot(proposals + 1));
    EXPECT_LT(most, 512u << 10) << "at " << step_ns << " ns a proposal";
    EXPECT_LT(cluster.at(1).bytes_in_use(), 512u << 10);
    cluster.outcomes.clear();
  }
}

// A group at rest has no timer, and keeps nothing of what went before; a member that is down does not keep it awake.
TEST(Replica, AnIdleGroupRestsThoughAMemberIsDown) {
  for (const bool third_is_up : {true, false}) {
    Cluster cluster(3, [](Options& options) { options.rest_after_ns = 1000 * kMs; });
    for (int i = 0; i < 500; ++i) cluster.propose(256);
    if (!third_is_up) {
      cluster.lost = [](const Message& message) { return message.to.value == 3 || message.from.value == 3; };
      cluster.step(1, PeerDown{.who = ReplicaId(3)});
    }
    const size_t members = third_is_up ? 3 : 2;
    for (int i = 0; i < 200; ++i) {
      cluster.now = cluster.now + 20 * kMs;
      for (uint64_t id = 1; id <= members; ++id)
        if (cluster.at(id).next_wakeup() <= cluster.now) cluster.step(id, Tick{});
      cluster.deliver();
    }
    for (uint64_t id = 1; id <= members; ++id) {
      EXPECT_TRUE(cluster.at(id).resting()) << cluster.at(id).describe();
      if (third_is_up || id == 2)
        EXPECT_EQ(cluster.at(id).next_wakeup(), kNever);
      else
        EXPECT_GT(cluster.at(id).next_wakeup(), cluster.now + 15'000 * kMs);
      EXPECT_LT(cluster.at(id).bytes_in_use(), 4096u);
    }
    cluster.outcomes.clear();
    cluster.propose(1);
    ASSERT_EQ(cluster.outcomes.size(), 1u);
    EXPECT_EQ(cluster.outcomes[0].result, Outcome::Result::Chosen);
  }
}

// A new leader's death, told by its supervisor, needs no wait either: that others let it try first ends when it leads.
TEST(Replica, AnObituaryRightAfterTheElectionIsHeeded) {
  const ScenarioResult result =
      run_scenario("> replicas 1 2 3\n> settle 20ms\n> crash 1\n> obituary 1 to 2 3\n> settle 20ms\n");
  EXPECT_NE(result.text.find("2 leads under 2.2"), std::string::npos) << result.text;
}

// In an idle group nothing is chosen after a change of members; it must be over all the same.
TEST(Replica, AChangeOfMembersEndsInAnIdleGroup) {
  const ScenarioResult result =
      run_scenario("> replicas 1 2 3 alpha=4\n> settle 20ms\n> reconfigure 1 voters 1 2\n> settle 200ms\n");
  EXPECT_NE(result.text.find("configuration 1 is retired"), std::string::npos) << result.text;
}

TEST(Replica, WhoIsBeingAddedIsNotRemoved) {
  const ScenarioResult result = run_scenario(
      "> replicas 1 2 3 alpha=4\n> settle 20ms\n> start 4\n> reconfigure 1 voters 1 2 3 learners 4\n> settle 200ms\n");
  EXPECT_EQ(result.text.find("removed"), std::string::npos) << result.text;
  EXPECT_NE(result.text.find("4 commits"), std::string::npos) << result.text;
}

}  // namespace
}  // namespace hailstone::paxos
