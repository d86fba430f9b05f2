// Catching up: chosen records from anyone, by the log or by a snapshot; and comparing states.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "paxos/core.h"

namespace hailstone::paxos {

void Core::on_learn(ReplicaId from, const Learn& message) {
  if (message.first > at_.upto || !message.first) return;
  const Slot last = std::min(message.last, at_.upto);
  Chosen answer{.chosen = known_chosen_};
  size_t bytes = 0;
  for (Slot slot = message.first; slot <= last && bytes < options_.batch_bytes; slot = slot.next()) {
    const Window::Cell* cell = window_.find(slot);
    if (!cell || !cell->settled) break;
    answer.records.push_back(cell->record);
    bytes += cell->record.bytes();
  }
  if (!answer.records.empty())
    send(from, std::move(answer));
  else
    out_->events.push_back(ServeLearn{.to = from, .first = message.first, .last = last});
}

// Each record is checked against the digest it claims and against its parent; the last against what the leader says.
void Core::on_chosen(ReplicaId, Chosen& message) {
  if (role_ == Role::Leader || installing_) return;
  const Slot before = at_.upto;
  for (Record& record : message.records) {
    if (record.slot <= at_.upto) continue;
    if (record.slot != at_.upto.next() || record.parent != at_.digest || !record.data ||
        digest_of(record) != record.digest)
      break;
    const Window::Cell* held = window_.find(record.slot);
    if (!held || held->record.digest != record.digest) store(record, true);
    if (!settle_next(record)) return;
  }
  if (at_.upto == before) return;
  after_chosen();
  learn_sent_ = Time{INT64_MIN};
  learn_tries_ = 0;
}

void Core::on_snapshot_offer(ReplicaId from, const SnapshotOffer& message) {
  if (installing_ || role_ == Role::Leader || message.meta.configs.empty()) return;
  if (message.meta.upto <= at_.upto && !at_.configs.empty()) return;
  installing_ = std::make_unique<const SnapshotMeta>(message.meta);
  abandon_candidacy();
  schedule_candidacy(std::max(grant_.until, now_ + options_.grant_ns));  // should it never be installed
  out_->events.push_back(FetchSnapshot{.from = from, .meta = message.meta});
}

void Core::on_snapshot_installed(const SnapshotInstalled& installed) {
  installing_.reset();
  if (!installed.ok || (installed.meta.upto <= at_.upto && !at_.configs.empty())) return;
  for (Slot slot = std::max(tail_first_, Slot(1)); slot <= at_.upto; slot = slot.next()) window_.erase(slot);
  at_ = installed.meta;
  for (const Slot slot : window_.slots_after(Slot(0)))
    if (slot <= at_.upto) window_.erase(slot);
  tail_first_ = at_.upto.next();
  applied_ = std::max(applied_, at_.upto);
  snapshot_ = std::max(snapshot_, at_.upto);
  trimmed_ = std::max(trimmed_, at_.upto);
  for (auto each = orphans_.begin(); each != orphans_.end() && each->first <= at_.upto; each = orphans_.erase(each))
    out_->outcomes.push_back({.tag = each->second.tag, .result = Outcome::Result::Unknown, .slot = each->first});
  write_hard();
  after_chosen();
}

void Core::learner_tick() {
  if (role_ == Role::Stopped) return;
  if (leader_checked_) {
    const auto own = checksums_.find(leader_checked_);
    if (own != checksums_.end() && role_ != Role::Leader && own->second != leader_checksum_)
      return stop(Fault::What::Diverged, leader_checked_,
                  fmt::format("state at slot {}: checksum {:016x}, the leader's is {:016x}", leader_checked_.value,
                              own->second, leader_checksum_));
  }
  if (role_ == Role::Leader || installing_) return;
  advance_chosen();
  if (role_ == Role::Stopped) return;
  const Slot wanted = std::max(known_chosen_, leader_ ? Slot(0) : heard_chosen_);
  if (wanted <= at_.upto && !at_.configs.empty()) return;
  if (learn_sent_.ns != INT64_MIN && now_ - learn_sent_ < options_.heartbeat_ns) return;
  // The leader first, then whoever said so, then all in turn.
  std::vector<ReplicaId> sources;
  for (const ReplicaId id : {leader_, learning_from_, heard_from_})
    if (id && id != options_.self) sources.push_back(id);
  for (const ReplicaId id : live_voters())
    if (id != options_.self) sources.push_back(id);
  if (sources.empty()) return;
  const ReplicaId source = sources[learn_tries_++ % sources.size()];
  learn_sent_ = now_;
  send(source, Learn{.first = at_.upto.next(), .last = Slot(std::min(wanted.value, at_.upto.value + options_.alpha))});
}

}  // namespace hailstone::paxos
