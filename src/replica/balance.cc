#include "replica/balance.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hailstone::replica {

std::optional<Handover> plan_handover(paxos::ReplicaId self, std::span<const LedGroup> groups) {
  uint64_t total = 0;
  for (const LedGroup& each : groups) total += each.load;
  // An idle group weighs as much as a tenth of the mean.
  const auto weight = [&](const LedGroup& group) { return 10 * group.load + total / groups.size() + 10; };
  std::map<paxos::ReplicaId, uint64_t> loads;
  for (const LedGroup& each : groups) {
    for (const paxos::ReplicaId voter : each.voters) loads.try_emplace(voter, 0);
    if (each.leader) loads[each.leader] += weight(each);
  }
  const auto own = loads.find(self);
  if (own == loads.end()) return {};
  // Of equals the lowest id acts.
  for (const auto& [id, load] : loads)
    if (load > own->second || (load == own->second && id < self)) return {};
  std::optional<Handover> best;
  // The heavier of the two afterwards, then what the other has now.
  std::pair<uint64_t, uint64_t> least{own->second, 0};
  for (const LedGroup& each : groups) {
    if (each.leader != self) continue;
    const uint64_t moved = weight(each);
    for (const paxos::ReplicaId to : each.voters) {
      if (to == self) continue;
      const uint64_t after = std::max(own->second - moved, loads.at(to) + moved);
      const std::pair<uint64_t, uint64_t> cost{after, loads.at(to)};
      if (cost >= least || own->second - after < moved / 4) continue;
      least = cost;
      best = Handover{.group = each.group, .to = to};
    }
  }
  return best;
}

}  // namespace hailstone::replica
