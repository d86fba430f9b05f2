#include "replica/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace hailstone::replica {
namespace {

using paxos::GroupId;
using paxos::ReplicaId;

std::vector<LedGroup> groups(const std::vector<uint64_t>& loads, uint64_t voters, uint64_t leader = 1) {
  std::vector<LedGroup> out;
  for (const uint64_t load : loads) {
    LedGroup group{.group = GroupId(out.size()), .leader = ReplicaId(leader), .load = load, .voters = {}};
    for (uint64_t id = 1; id <= voters; ++id) group.voters.push_back(ReplicaId(id));
    out.push_back(std::move(group));
  }
  return out;
}

/// Every member asks in turn until none has anything to hand over; how many hand-overs it took.
size_t settle(std::vector<LedGroup>& groups, uint64_t members) {
  for (size_t moves = 0; moves < 1000;) {
    bool moved = false;
    for (uint64_t id = 1; id <= members; ++id)
      if (const auto plan = plan_handover(ReplicaId(id), groups)) {
        LedGroup& group = *std::ranges::find(groups, plan->group, &LedGroup::group);
        EXPECT_EQ(group.leader, ReplicaId(id));
        EXPECT_NE(std::ranges::find(group.voters, plan->to), group.voters.end());
        group.leader = plan->to;
        moved = true;
        ++moves;
      }
    if (!moved) return moves;
  }
  return 1000;
}

std::map<uint64_t, std::pair<size_t, uint64_t>> led(const std::vector<LedGroup>& groups) {
  std::map<uint64_t, std::pair<size_t, uint64_t>> out;
  for (const LedGroup& each : groups) {
    ++out[each.leader.value].first;
    out[each.leader.value].second += each.load;
  }
  return out;
}

TEST(Balance, EqualAndIdleGroupsAreSpreadEvenly) {
  for (const uint64_t load : {0u, 100u}) {
    auto all = groups(std::vector<uint64_t>(9, load), 3);
    EXPECT_EQ(settle(all, 3), 6u);
    for (const auto& [id, sum] : led(all)) EXPECT_EQ(sum.first, 3u);
    EXPECT_EQ(settle(all, 3), 0u);
  }
}

TEST(Balance, ABusyGroupStandsAlone) {
  auto all = groups({1000, 10, 10, 10, 10, 10}, 2);
  settle(all, 2);
  const ReplicaId busy = all[0].leader;
  for (size_t i = 1; i < all.size(); ++i) EXPECT_NE(all[i].leader, busy);
}

TEST(Balance, OnlyVotersThatLiveAreGivenAnything) {
  auto all = groups({5, 5, 5, 5}, 1);
  EXPECT_EQ(plan_handover(ReplicaId(1), all), std::nullopt);
  EXPECT_EQ(plan_handover(ReplicaId(7), all), std::nullopt);
  EXPECT_EQ(plan_handover(ReplicaId(1), {}), std::nullopt);
  all[2].voters.push_back(ReplicaId(4));
  EXPECT_EQ(plan_handover(ReplicaId(1), all), (Handover{GroupId(2), ReplicaId(4)}));
}

TEST(Balance, ItEndsAndNeverMakesTheMostLoadedHeavier) {
  uint64_t random = 1;
  const auto next = [&](uint64_t n) {
    return (random = random * 6364136223846793005u + 1442695040888963407u) >> 33 % n;
  };
  for (int round = 0; round < 500; ++round) {
    const uint64_t members = 2 + next(4) % 4;
    std::vector<uint64_t> loads(1 + next(12) % 12);
    for (uint64_t& load : loads) load = next(1000) % 1000;
    auto all = groups(loads, members);
    for (LedGroup& each : all) each.leader = ReplicaId(1 + next(members) % members);
    const auto heaviest = [&] {
      uint64_t most = 0;
      for (const auto& [id, sum] : led(all)) most = std::max(most, sum.second);
      return most;
    };
    const uint64_t before = heaviest();
    uint64_t total = 0;
    for (const uint64_t load : loads) total += load;
    EXPECT_LT(settle(all, members), 200u);
    EXPECT_LE(heaviest(), before + total / 5);  // idle groups weigh something, too
  }
}

}  // namespace
}  // namespace hailstone::replica
