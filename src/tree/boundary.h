// Where nodes end: a function of the keys alone, so that equal maps have equal trees (docs/formats/tree.md, for ever).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/hash.h"

namespace hailstone::tree {

inline constexpr size_t kLeafItemsMax = 240;  // so that a leaf of the longest keys and values is below kChunkBytesMax
inline constexpr size_t kInnerItemsMax = 768;
inline constexpr uint64_t kLeafItemsMean = 64;
inline constexpr uint64_t kInnerItemsMean = 96;
inline constexpr unsigned kLevelMax = 20;  // 2^64 adversarial keys end by level 18: see the format page
inline constexpr uint64_t kBoundarySeed = 0x0000315645455254;  // "TREEV1"

constexpr size_t items_max(unsigned level) { return level == 0 ? kLeafItemsMax : kInnerItemsMax; }
/// The smallest node that a forced cut makes.
constexpr size_t items_forced_min(unsigned level) { return items_max(level) / 4; }

namespace detail {
constexpr std::array<uint64_t, kLevelMax + 1> make_thresholds() {
  std::array<uint64_t, kLevelMax + 1> out{};
  uint64_t threshold = (uint64_t{1} << 32) / kLeafItemsMean << 32;
  for (uint64_t& level : out) {
    level = threshold;
    threshold /= kInnerItemsMean;
  }
  return out;
}
inline constexpr std::array<uint64_t, kLevelMax + 1> kThresholds = make_thresholds();
}  // namespace detail

inline uint64_t boundary_hash(ByteView key) { return xxh3(key, kBoundarySeed); }

/// A key of this hash starts a node at `level`, wherever it stands. What starts a node also starts one at each lower
/// level.
inline bool starts_node(unsigned level, uint64_t hash) { return hash < detail::kThresholds[level]; }

}  // namespace hailstone::tree
