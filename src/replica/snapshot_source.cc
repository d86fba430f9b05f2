#include "replica/snapshot_source.h"

#include "replica/place.h"
#include "replica/snapshot_install.h"

namespace hailstone::replica {

Result<std::optional<paxos::SnapshotMeta>> SnapshotSource::offer(Slot first, Slot log_from, int64_t now_ns) {
  if (!held_ || meta_.upto < first || meta_.upto.next() < log_from) {
    auto state = database_.snapshot();
    TRY(const auto value, state->get(kAppliedKey));
    if (!value) return std::nullopt;
    TRY(Place place, Place::decode(*value));
    if (place.at.upto < first) return std::nullopt;
    held_ = std::move(state);
    meta_ = std::move(place.at);
  }
  asked_ns_ = now_ns;
  return meta_;
}

Result<SnapshotPiece> SnapshotSource::piece(const SnapshotGet& get, int64_t now_ns) {
  SnapshotPiece out{.group = get.group, .upto = get.upto, .after = get.after, .entries = {}};
  if (!held_ || meta_.upto != get.upto) {
    out.gone = true;
    return out;
  }
  asked_ns_ = now_ns;
  // All keys, and `after` itself is not wanted again: its successor is the key with a zero byte more.
  const Bytes from = get.after.empty() ? Bytes() : get.after + '\0';
  const auto at = held_->iterate(from, kKeysEnd);
  size_t bytes = 0;
  for (; at->valid() && bytes < kPieceBytes; at->next()) {
    if (at->key() == kInstallKey) continue;
    bytes += at->key().size() + at->value().size();
    out.entries.emplace_back(at->key(), at->value());
  }
  TRY_DO(at->status());
  out.last = !at->valid();
  return out;
}

bool SnapshotSource::expire(int64_t now_ns) {
  if (held_ && now_ns - asked_ns_ > kKeepNs) held_.reset();
  return held_ != nullptr;
}

}  // namespace hailstone::replica
