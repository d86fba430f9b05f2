#include "volume/retention.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::volume {
namespace {

constexpr UnixMicros kNever{INT64_MAX};

int64_t micros(uint64_t seconds) { return static_cast<int64_t>(std::min<uint64_t>(seconds, 1ull << 40)) * 1'000'000; }

/// When the last channel left it; kNever while one is at it.
UnixMicros replaced_at(const Volume& volume, const Retainable& release) {
  UnixMicros out = release.time;
  for (const auto& [name, flips] : volume.channels) {
    const auto& history = *flips;
    if (history.back().release == release.number) return kNever;
    if (history.front().sequence > 1) out = std::max(out, history.front().at);
    for (size_t i = 0; i + 1 < history.size(); ++i)
      if (history[i].release == release.number) out = std::max(out, history[i + 1].at);
  }
  return out;
}

}  // namespace

std::vector<Bytes> kept_because(const RetentionInput& input, size_t index) {
  std::vector<Bytes> out;
  const Volume& volume = input.volume;
  const Settings& settings = volume.record.settings;
  const Retainable& release = input.releases[index];
  for (const auto& [name, flips] : volume.channels)
    if (flips->back().release == release.number) out.push_back(fmt::format("channel '{}' is at it", name));
  for (const auto& [name, number] : volume.tags)
    if (number == release.number) out.push_back(fmt::format("tag '{}' names it", name));
  if (input.held.contains(release.number)) out.emplace_back("a hold is on it");
  if (input.draft_bases.contains(release.number)) out.emplace_back("a draft started from it");
  const size_t newer = input.releases.size() - index;  // itself counted
  if (newer == 1) out.emplace_back("it is the newest release");
  if (settings.keep_releases == 0 && settings.keep_seconds == 0) {
    out.emplace_back("the volume keeps all releases (keep_releases and keep_seconds are 0)");
  } else if (newer <= settings.keep_releases) {
    out.push_back(fmt::format("it is among the newest {} (keep_releases)", settings.keep_releases));
  }
  const UnixMicros replaced = replaced_at(volume, release);
  if (replaced == kNever) return out;
  const int64_t age = input.now.value - replaced.value;
  if (age <= micros(settings.grace_seconds))
    out.push_back(
        fmt::format("it was replaced {} s ago and is in grace for {} s", age / 1'000'000, settings.grace_seconds));
  if (settings.keep_seconds > 0 && age <= micros(settings.keep_seconds))
    out.push_back(fmt::format("it was replaced {} s ago (keep_seconds {})", age / 1'000'000, settings.keep_seconds));
  return out;
}

RetentionPlan plan_retention(const RetentionInput& input) {
  RetentionPlan out;
  const Settings& settings = input.volume.record.settings;
  for (const auto& [release, since] : input.volume.trashed)
    if (since.value + micros(settings.trash_seconds) <= input.now.value) out.purge.push_back(release);
  if (settings.keep_releases == 0 && settings.keep_seconds == 0) return out;
  for (size_t i = 0; i < input.releases.size(); ++i)
    if (kept_because(input, i).empty()) out.trash.push_back(input.releases[i].number);
  return out;
}

}  // namespace hailstone::volume
