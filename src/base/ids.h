// Strong integer types for numbers that must not mix: a release is not a slot is not a volume.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace hailstone {

template <class Tag>
struct Id {
  uint64_t value = 0;
  constexpr Id() = default;
  constexpr explicit Id(uint64_t v) : value(v) {}
  auto operator<=>(const Id&) const = default;
  constexpr Id next() const { return Id(value + 1); }
  constexpr explicit operator bool() const { return value != 0; }  // 0 names nothing
};

using Slot = Id<struct SlotTag>;              // position in a group's log: 1, 2, 3 ...
using VolumeId = Id<struct VolumeTag>;        // never reused, unlike a volume's name
using DraftId = Id<struct DraftTag>;          // per volume, never reused
using ReleaseNumber = Id<struct ReleaseTag>;  // per volume: 1, 2, 3 ...

/// Microseconds since 1970-01-01T00:00Z. For people, feeds and headers; never for ordering.
struct UnixMicros {
  int64_t value = 0;
  auto operator<=>(const UnixMicros&) const = default;
  constexpr int64_t seconds() const { return value >= 0 ? value / 1'000'000 : -((-value + 999'999) / 1'000'000); }
};

}  // namespace hailstone

template <class Tag>
struct std::hash<hailstone::Id<Tag>> {
  size_t operator()(const hailstone::Id<Tag>& id) const noexcept { return std::hash<uint64_t>{}(id.value); }
};
