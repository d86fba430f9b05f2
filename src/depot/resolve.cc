#include "depot/resolve.h"

#include <algorithm>
#include <unordered_set>

namespace hailstone::depot {
namespace {

constexpr uint64_t kGraceSecondsMax = 1'000'000'000'000;  // keeps microseconds within 64 bits

}  // namespace

std::optional<UnixMicros> grace_end(const std::vector<volume::Flip>& flips, size_t index, uint64_t grace_seconds) {
  if (index + 1 >= flips.size()) return std::nullopt;
  const auto micros = static_cast<int64_t>(std::min(grace_seconds, kGraceSecondsMax)) * 1'000'000;
  return UnixMicros{flips[index + 1].at.value + micros};
}

bool in_grace(const std::vector<volume::Flip>& flips, size_t index, uint64_t grace_seconds, UnixMicros now) {
  const auto end = grace_end(flips, index, grace_seconds);
  return !end || *end > now;
}

Result<Resolved> resolve(const Store& store, const std::vector<volume::Flip>& flips, const Overlay& overlay,
                         ByteView key, std::optional<size_t> first) {
  const size_t last = flips.size() - 1;
  const auto answer = [&](Found found, size_t index) {
    return Resolved{std::move(found), index, false, grace_end(flips, index, overlay.grace_seconds)};
  };
  if (first && *first < last && in_grace(flips, *first, overlay.grace_seconds, overlay.now)) {
    TRY(auto found, find(store, flips[*first].root, key));
    if (found.kind != Found::Kind::Nothing) return answer(std::move(found), *first);
  }
  TRY(auto current, find(store, flips[last].root, key));
  if (current.kind != Found::Kind::Nothing) return answer(std::move(current), last);
  std::unordered_set<ChunkId> seen{flips[last].root.id};
  for (size_t i = last; i-- > 0;) {
    if (!seen.insert(flips[i].root.id).second) continue;
    auto found = find(store, flips[i].root, key);
    const bool may_answer = overlay.enabled && in_grace(flips, i, overlay.grace_seconds, overlay.now);
    if (!found && may_answer) return std::unexpected(std::move(found).error());
    if (!found) break;  // collected meanwhile: whether it was there can't be told, only that it isn't here
    if (found->kind == Found::Kind::Nothing) continue;
    if (may_answer) return answer(*std::move(found), i);
    return Resolved{{}, last, true, {}};
  }
  return Resolved{{}, last, false, {}};
}

}  // namespace hailstone::depot
