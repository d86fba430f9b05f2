// Which releases of a volume to let go, and which of those that were let go to forget: pure.
#pragma once

#include <set>
#include <vector>

#include "volume/records.h"
#include "volume/state.h"

namespace hailstone::volume {

struct Retainable {
  ReleaseNumber number;
  UnixMicros time;  // when it was made
};

/// What retention looks at: one volume at one time.
struct RetentionInput {
  const Volume& volume;
  std::vector<Retainable> releases;  // all that are there and not in the trash, ascending
  std::set<ReleaseNumber> held;
  std::set<ReleaseNumber> draft_bases;
  UnixMicros now;
};

struct RetentionPlan {
  std::vector<ReleaseNumber> trash;
  std::vector<ReleaseNumber> purge;
  bool operator==(const RetentionPlan&) const = default;
};

/// With neither keep_releases nor keep_seconds set everything stays. Otherwise a release goes when no bound that is set
/// keeps it: it is not among the newest keep_releases, and it was replaced longer than keep_seconds ago. What a channel
/// is at, what is in grace, tagged, held or a draft's base, and the newest release stay whatever the bounds say.
///
/// The age counts from the last flip that replaced it on any channel, not from when it was made; what no channel ever
/// served, from when it was made. Where the flips held in memory do not reach back so far, from the oldest of them.
RetentionPlan plan_retention(const RetentionInput& input);

/// Why release `index` of input.releases stays, for people; empty: it goes.
std::vector<Bytes> kept_because(const RetentionInput& input, size_t index);

}  // namespace hailstone::volume
