// Where nodes end: a function of the keys alone, so that equal maps have equal trees (docs/formats/tree.md, for ever).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/hash.h"

namespace hailstone::tree {

/// The sizes of one kind of node, in items.
struct Shape {
  size_t min;    // a node ends at the first candidate that leaves it at least this big (a level's last may be smaller)
  uint64_t gap;  // one key in this many is a candidate: the mean size is about min + gap
  size_t max;    // a node without a candidate up to here is cut at the smallest hash behind its first quarter
  size_t forced_min() const { return max / 4; }
};

struct Shapes {
  Shape leaf;
  Shape inner;
  const Shape& at(unsigned level) const { return level == 0 ? leaf : inner; }
};

/// The largest leaf keeps a node of the longest keys and values below kChunkBytesMax. The others were measured:
/// smaller leaves make more nodes and levels, larger ones write more for each edit.
inline constexpr Shapes kShapes{.leaf = {.min = 40, .gap = 24, .max = 240},
                                .inner = {.min = 64, .gap = 32, .max = 768}};
static_assert(kShapes.leaf.min <= kShapes.leaf.max / 4 && kShapes.inner.min <= kShapes.inner.max / 4);

/// 2^64 keys end by level 13, whoever picked them, since a level has at most a 40th of the nodes below it, plus one.
inline constexpr unsigned kLevelMax = 16;
inline constexpr uint64_t kBoundarySeed = 0x0000315645455254;  // "TREEV1"

inline uint64_t boundary_hash(unsigned level, ByteView key) { return xxh3(key, kBoundarySeed + level); }

/// An item of this hash may start a node; one that does so otherwise was forced.
inline bool is_candidate(const Shape& shape, uint64_t hash) { return hash < UINT64_MAX / shape.gap; }

}  // namespace hailstone::tree
