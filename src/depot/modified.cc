#include "depot/modified.h"

#include <algorithm>

#include "base/codec.h"

namespace hailstone::depot {
namespace {

constexpr uint64_t kStep = 32;
static_assert(2 * kStep <= volume::kFlipsHeldMin, "every node must hold the flips that are looked at");

Bytes run_key(VolumeId volume, ByteView channel, ByteView key) {
  Bytes out;
  Encoder encoder(out);
  encoder.varint(volume.value);
  encoder.bytes(channel);
  encoder.raw(key);
  return out;
}

}  // namespace

uint64_t look_back_floor(uint64_t sequence) {
  const uint64_t step = sequence / kStep;
  return step <= 1 ? 1 : (step - 1) * kStep;
}

int64_t ModifiedTimes::get(const Store& store, VolumeId volume, ByteView channel,
                           const std::vector<volume::Flip>& flips, size_t index, ByteView key, const Found& found) {
  const uint64_t base = flips.front().sequence;
  const uint64_t asked = flips[index].sequence;
  const uint64_t floor = std::max(base, look_back_floor(asked));
  const Bytes name = run_key(volume, channel, key);
  Run* known = runs_.find(name);
  if (known && known->last > asked) known = nullptr;

  uint64_t first = asked;
  while (first > floor) {
    if (known && known->last == first) {
      first = std::max(known->first, floor);
      break;
    }
    const volume::Flip& before = flips[first - 1 - base];
    if (before.root != flips[first - base].root) {
      // A tree that can't be read, being collected, ends the run: the date is a later one and still true.
      const auto earlier = find(store, before.root, key);
      if (!earlier || !same_content(*earlier, found)) break;
    }
    --first;
  }
  if (Run* held = runs_.find(name); !held || held->last <= asked) runs_.put(name, Run{first, asked});
  return flips[first - base].modified_seconds;
}

}  // namespace hailstone::depot
