// Last-Modified of a channel path: when its content became current there, never equal for two contents.
#pragma once

#include <cstdint>
#include <vector>

#include "depot/find.h"
#include "depot/lru.h"
#include "volume/records.h"
#include "volume/state.h"

namespace hailstone::depot {

/// The oldest flip that is looked at for the release of flip `sequence`: 32 to 63 flips back, in steps of 32. It
/// depends on the sequence alone and lies within the flips that every node holds, so that all nodes answer alike.
uint64_t look_back_floor(uint64_t sequence);

/// Answers for flip k and a path: `modified_seconds` of the oldest flip in the unbroken run, ending at k and starting
/// at look_back_floor(k) or later, of flips whose releases lead this path to the same content.
///
/// Why equal dates mean equal bytes: modified_seconds rises strictly from flip to flip, and flip j's is only ever
/// announced for the content that the path had in flip j's release. Why a path's dates rise: a new content starts a new
/// run at a later flip; an old content that comes back starts one too; a floor that moves only raises the answer.
///
/// One per thread: it remembers runs, which makes the next flip's answer cost one lookup.
class ModifiedTimes {
 public:
  explicit ModifiedTimes(size_t paths_max) : runs_(paths_max) {}

  /// `flips`: oldest first, sequences without gaps. `found` is what `key` leads to in flips[index]'s release.
  int64_t get(const Store& store, VolumeId volume, ByteView channel, const std::vector<volume::Flip>& flips,
              size_t index, ByteView key, const Found& found);

 private:
  struct Run {
    uint64_t first = 0, last = 0;  // sequences; `first` may be later than the run's start, but not than its floor's
  };
  Lru<Run> runs_;
};

}  // namespace hailstone::depot
