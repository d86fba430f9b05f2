// Which release answers a path on a channel: the current one, else those still in grace, newest first. Pure.
#pragma once

#include <optional>
#include <vector>

#include "depot/find.h"
#include "volume/records.h"

namespace hailstone::depot {

/// When the grace of the release that flips[index] made current ends; nothing for the last flip, which is in force.
/// It runs from the flip that replaced it. Rising with `index`.
std::optional<UnixMicros> grace_end(const std::vector<volume::Flip>& flips, size_t index, uint64_t grace_seconds);
/// The last flip, or one whose grace ends after `now`.
bool in_grace(const std::vector<volume::Flip>& flips, size_t index, uint64_t grace_seconds, UnixMicros now);

/// What bounds a look back through a channel's flips.
struct Overlay {
  bool enabled = true;  // off: only the last flip's release answers
  uint64_t grace_seconds = 0;
  UnixMicros now;
};

struct Resolved {
  Found found;        // Nothing: a miss
  size_t flip = 0;    // index of the flip whose release answers; of the last one on a miss
  bool gone = false;  // a miss, but a release that may no longer answer had it (as far as its tree is still kept)
  std::optional<UnixMicros> valid_until;  // the answer changes then even if nothing is committed
};

/// `flips`: oldest first, not empty. `first`: index of a flip whose release is asked before all others (a reader's
/// pin).
Result<Resolved> resolve(const Store& store, const std::vector<volume::Flip>& flips, const Overlay& overlay,
                         ByteView key, std::optional<size_t> first);

}  // namespace hailstone::depot
