#include "flip/shown.h"

#include <algorithm>

namespace hailstone::flip {
namespace {

/// Those of `held` that are shown, then those that only the file has. Null when there is a gap between them.
volume::Flips joined(const volume::Flips& held, const volume::Flips& file) {
  const uint64_t newest = file->back().sequence;
  if (held && held->back().sequence == newest) return held;
  auto out = std::make_shared<std::vector<volume::Flip>>();
  if (held)
    std::ranges::copy_if(*held, std::back_inserter(*out), [&](const auto& flip) { return flip.sequence <= newest; });
  const uint64_t last = out->empty() ? 0 : out->back().sequence;
  if (last != 0 && file->front().sequence > last + 1) return nullptr;
  std::ranges::copy_if(*file, std::back_inserter(*out), [&](const auto& flip) { return flip.sequence > last; });
  return out;
}

}  // namespace

Shown shown_volume(std::shared_ptr<const volume::Volume> state, ByteView channel, const Live& live, net::NodeId self) {
  const bool own = live.file && live.file->volume == state->record.id;
  if (live.file && !own && live.file->volume > state->record.id) return {Fit::Behind, {}};
  const auto held = state->channels.find(channel);
  const bool has = held != state->channels.end();
  if (!own || !live.file->current().release) {
    if (!has) return {Fit::Shown, std::move(state)};
    auto without = std::make_shared<volume::Volume>(*state);
    without->channels.erase(Bytes(channel));
    without->record.channels.erase(Bytes(channel));
    return {Fit::Shown, std::move(without)};
  }
  if (live.file->excludes(self) && state->record.last_release < live.file->current().release) return {Fit::Behind, {}};
  auto flips = joined(has ? held->second : nullptr, live.flips);
  if (!flips) return {Fit::Behind, {}};
  if (has && flips == held->second) return {Fit::Shown, std::move(state)};
  auto with = std::make_shared<volume::Volume>(*state);
  with->record.channels[Bytes(channel)] = flips->back();
  with->channels[Bytes(channel)] = std::move(flips);
  return {Fit::Shown, std::move(with)};
}

}  // namespace hailstone::flip
