// All groups' states as one: which volumes there are, and in which group each one is.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "volume/state.h"

namespace hailstone::volume {

inline constexpr size_t kGroupsMax = 256;

/// The group is part of a volume's id, so that whoever has the id knows where to ask.
inline constexpr VolumeId volume_id(uint64_t number, uint8_t group) { return VolumeId(number << 8 | group); }
inline constexpr uint8_t group_of(VolumeId id) { return static_cast<uint8_t>(id.value & 0xff); }

/// Where a volume of that name is made, among `groups` that are numbered from `first`. Part of the format: never
/// changes.
uint8_t home_group(ByteView name, uint8_t first, size_t groups);

/// Joins what the groups' machines publish. Its state has a new version only when a volume or a key changed: writes to
/// layers show elsewhere. Keys are the first group's that has any.
class Catalog {
 public:
  /// From the thread that applies the group's commands, in order.
  void publish(uint8_t group, std::shared_ptr<const State> state);
  const PublishedState& published() const { return published_; }

 private:
  std::mutex mutex_;  // between the groups' threads; guards all below
  std::map<uint8_t, std::shared_ptr<const State>> groups_;
  PublishedState published_;
};

}  // namespace hailstone::volume
