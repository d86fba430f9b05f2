#include "sim/fencing.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::sim {

std::string check_fencing(const History& history, std::span<const FencedWrite> writes) {
  for (const FencedWrite& each : writes) {
    const Operation& write = history[each.operation];
    if (write.outcome == Outcome::Failed) continue;
    // From then on it is stale.
    int64_t superseded_ns = kNever;
    uint64_t by = 0;
    for (const Operation& grant : history)
      if (grant.key == each.lock && grant.kind == Kind::Acquire && grant.outcome == Outcome::Ok &&
          grant.answer == Answer::Done && grant.result > each.sequencer && grant.return_ns < superseded_ns) {
        superseded_ns = grant.return_ns;
        by = grant.result;
      }
    if (superseded_ns == kNever) continue;
    if (write.outcome == Outcome::Ok && write.call_ns > superseded_ns)
      return fmt::format("key {}: value {} was written under sequencer {} of lock {} after {} had been granted",
                         write.key, write.value, each.sequencer, each.lock, by);
    // The first read that certainly came later and missed the value; and one after it that did not.
    int64_t missed_ns = kNever;
    for (const Operation& read : history)
      if (read.key == write.key && read.kind == Kind::Read && read.outcome == Outcome::Ok &&
          read.call_ns > superseded_ns && read.result != write.value)
        missed_ns = std::min(missed_ns, read.return_ns);
    for (const Operation& read : history)
      if (read.key == write.key && read.kind == Kind::Read && read.outcome == Outcome::Ok &&
          read.result == write.value && read.call_ns > missed_ns)
        return fmt::format(
            "key {}: value {}, written under sequencer {} of lock {}, appeared after {} had been granted", write.key,
            write.value, each.sequencer, each.lock, by);
  }
  return {};
}

}  // namespace hailstone::sim
