// Which group a member should hand over, so that leaderships are spread by load: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "paxos/types.h"

namespace hailstone::replica {

/// A group as this member sees it.
struct LedGroup {
  paxos::GroupId group;
  paxos::ReplicaId leader;               // 0: nobody
  uint64_t load = 0;                     // in any unit, the same for all groups: commands a second, say
  std::vector<paxos::ReplicaId> voters;  // those that are alive and keep up, the leader among them
};

struct Handover {
  paxos::GroupId group;
  paxos::ReplicaId to;
  bool operator==(const Handover&) const = default;
};

/// What `self` should hand over now (Host::resign), if anything: to be asked every few seconds, on every member. One
/// group at a time, by the most loaded member only, and only if that makes the heavier of the two lighter by a
/// quarter of the group's load at least: repeated, with loads that stay, it ends. Groups without load count a little,
/// so they are spread too.
std::optional<Handover> plan_handover(paxos::ReplicaId self, std::span<const LedGroup> groups);

}  // namespace hailstone::replica
