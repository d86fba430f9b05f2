// Phase 2a: proposing, sending, counting, handing over.
#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <utility>

#include "base/check.h"
#include "paxos/core.h"

namespace hailstone::paxos {

void Core::lead(std::vector<Record> kept, std::vector<Config> pending) {
  failed_candidacies_ = 0;
  const std::map<ReplicaId, Answer> promises = std::move(candidacy_->promises);
  candidacy_.reset();
  following_ = promised_;
  base_ = held_ = at_.upto;
  leader_end_ = stored_ = Slot(0);
  stand_at_ = kNever;
  lease_until_ = Time{INT64_MIN};
  quorum_until_ = Time{INT64_MIN};
  echoes_new_ = true;
  led_since_ = now_;
  inflight_bytes_ = 0;
  time_us_ = at_.time_us;
  end_ = at_.upto;
  read_round_ = 0;
  resigning_.reset();
  retiring_.clear();
  retiring_epoch_.reset();
  pending_config_.reset();
  resting_ = false;
  rest_offer_ = 0;
  active_at_ = now_;
  if (!pending.empty()) pending_config_ = std::make_unique<const Config>(std::move(pending.back()));
  peers_.clear();
  peers_of_.reset();
  set_role(Role::Leader, options_.self);
  // What is kept is proposed anew; origin, parent and digest stay.
  for (Record& record : kept) {
    record.ballot = promised_;
    end_ = record.slot;
    time_us_ = record.time_us;
    inflight_bytes_ += record.bytes();
    store(record, false);
  }
  refresh_peers();
  for (Peer& each : peers_)
    if (const auto answer = promises.find(each.id); answer != promises.end())
      for (const Record& record : kept)
        if (const auto header = answer->second.headers.find(record.slot);
            header != answer->second.headers.end() && header->second.digest == record.digest)
          each.holds.emplace(record.slot, record.digest);
  own_slot_ = kNoSlot;
  propose_own_slot();
  fill_for_config();
  replicate();
}

// What was chosen before is known once a slot of this ballot is. Only within alpha, so that the window does not grow
// with each leader that achieves nothing.
void Core::propose_own_slot() {
  if (own_slot_ != kNoSlot || end_.value - at_.upto.value >= options_.alpha) return;
  append(Kind::Noop, std::make_shared<const Bytes>(), {});
  own_slot_ = end_;
}

// I10: what was proposed may still be chosen by whoever leads next. It is an orphan until its slot is chosen, or for so
// long.
void Core::step_down() {
  for (Pending& each : pending_) orphans_.emplace(each.slot, each);
  orphans_until_ = now_ + options_.grant_ns;
  lease_until_ = Time{INT64_MIN};
  resigning_.reset();
  rest_offer_ = 0;
  peers_.clear();
  peers_of_.reset();
  stamps_.release();
  pending_.release();
  following_ = {};
  held_ = Slot(0);
  fail_reads();
  set_role(Role::Follower, ReplicaId(0));
  schedule_candidacy(now_ + options_.grant_ns);
}

size_t Core::room() const {
  if (role_ != Role::Leader || resigning_) return 0;
  if (inflight_bytes_ >= options_.inflight_bytes || at_.upto.value > applied_.value + 4ull * options_.alpha) return 0;
  const uint64_t inflight = end_.value - at_.upto.value;
  return inflight >= options_.alpha ? 0 : options_.alpha - inflight;
}

void Core::append(Kind kind, SharedBytes data, std::optional<uint64_t> tag) {
  const Window::Cell* last = end_ > at_.upto ? window_.find(end_) : nullptr;
  CHECK(last || end_ == at_.upto);
  Record record{.slot = end_.next(),
                .ballot = promised_,
                .origin = promised_,
                .kind = kind,
                .time_us = time_us_,
                .parent = last ? last->record.digest : at_.digest,
                .data = std::move(data)};
  record.digest = digest_of(record);
  end_ = record.slot;
  inflight_bytes_ += record.bytes();
  if (tag) pending_.push_back({.slot = end_, .digest = record.digest, .tag = *tag});
  store(std::move(record), false);
}

void Core::propose(Propose& request) {
  time_us_ = std::max(time_us_, request.time_us);
  asked();
  for (Proposal& each : request.proposals) {
    Outcome refusal{.tag = each.tag, .leader = leader_};
    if (role_ != Role::Leader || resigning_) {
      refusal.result = Outcome::Result::NotLeader;
      if (resigning_) refusal.leader = resigning_->to;
    } else if (!each.data || each.data->size() > kValueBytesMax) {
      refusal.result = Outcome::Result::Invalid;
      refusal.why = "a value is at most 8 MiB";
    } else if (each.kind != Kind::Command && each.kind != Kind::Forwarded) {
      refusal.result = Outcome::Result::Invalid;
      refusal.why = "only commands can be proposed";
    } else if (room() == 0) {
      refusal.result = Outcome::Result::Busy;
    } else {
      append(each.kind, std::move(each.data), each.tag);
      continue;
    }
    out_->outcomes.push_back(std::move(refusal));
  }
}

Peer* Core::peer(ReplicaId id) {
  const auto found = std::ranges::lower_bound(peers_, id, {}, &Peer::id);
  return found != peers_.end() && found->id == id ? &*found : nullptr;
}

void Core::replicate() {
  for (Peer& each : peers_) send_accept(each, false);
}

void Core::send_accept(Peer& to, bool even_if_empty) {
  while (true) {
    Accept message{
        .ballot = promised_, .life = options_.life, .chosen = at_.upto, .chosen_digest = at_.digest, .end = end_};
    size_t bytes = 0;
    // Gone from memory: it is chosen, and the peer learns it from anybody.
    if (to.next <= at_.upto && !window_.find(to.next)) {
      to.next = at_.upto.next();
      to.inflight = 0;
    }
    while (to.next <= end_ && bytes < options_.batch_bytes && to.inflight < options_.inflight_bytes) {
      Window::Cell* cell = window_.find(to.next);
      if (!cell) break;
      Record record = cell->record;
      record.ballot = promised_;
      bytes += record.bytes();
      to.inflight += record.bytes();
      if (const auto held = to.holds.find(to.next); held != to.holds.end() && held->second == record.digest)
        record.data = nullptr;
      message.records.push_back(std::move(record));
      to.next = to.next.next();
    }
    if (message.records.empty() && !even_if_empty) return;
    even_if_empty = false;
    // One stamp for all that leaves in a step.
    if (!stamped_) {
      stamped_ = true;
      // A stamp that is not kept counts as sent when the one before it was: too early, which only shortens the lease.
      if (++stamp_; stamps_.empty() || now_ - stamps_.back().sent >= options_.heartbeat_ns / 64)
        stamps_.push_back({.stamp = stamp_, .sent = now_});
      while (stamps_.front().sent + options_.grant_ns < now_) stamps_.pop_front();
    }
    message.stamp = stamp_;
    message.resent_for = to.blind;
    message.trim_floor = trim_floor_;
    if (!checksums_.empty()) {
      message.checked = checksums_.rbegin()->first;
      message.checksum = checksums_.rbegin()->second;
    }
    if (to.progress.ns == INT64_MIN || to.acked.next() == to.next) to.progress = now_;
    to.sent = now_;
    send(to.id, std::move(message));
  }
}

void Core::on_accepted(ReplicaId from, const Accepted& message) {
  if (role_ != Role::Leader || message.ballot != promised_) return;
  Peer* to = peer(from);
  if (!to) return;
  to->heard = now_;
  if (resting_ && !to->rests) active();
  if (message.stamp > to->echoed && message.stamp <= stamp_) {
    to->echoed = message.stamp;
    auto sent = std::ranges::upper_bound(stamps_, message.stamp, {}, &Stamp::stamp);
    if (sent != stamps_.begin()) {
      --sent;
      to->echoed_sent = std::max(to->echoed_sent, sent->sent);
      echoes_new_ = true;
    }
  }
  to->chosen = std::max(to->chosen, message.chosen);
  if (message.blind && message.blind != to->blind) {
    to->blind = message.blind;
    to->acked = Slot(0);
    to->next = at_.upto.next();
    to->inflight = 0;
    to->holds.clear();
    return;
  }
  if (!message.blind) to->blind = LifeId(0);
  const Slot upto = std::min(message.upto, end_);
  if (upto > to->acked) {
    for (Slot slot = std::max(to->acked, Slot(tail_first_.value - 1)).next(); slot <= upto && slot < to->next;
         slot = slot.next())
      if (const Window::Cell* cell = window_.find(slot)) to->inflight -= std::min(to->inflight, cell->record.bytes());
    to->acked = upto;
    to->progress = now_;
    to->holds.erase(to->holds.begin(), to->holds.upper_bound(upto));
  }
  if (to->next <= to->acked) to->next = to->acked.next();
  if (to->next == to->acked.next()) to->inflight = 0;
  if (message.missing > to->acked && message.missing < to->next && now_ - to->resent >= options_.heartbeat_ns / 4) {
    to->resent = now_;
    to->holds.erase(to->holds.lower_bound(message.missing), to->holds.end());
    to->next = message.missing;
    to->inflight = 0;
  }
}

// A slot is chosen when a phase-2 quorum of the configuration that governs it holds the window up to it.
// Acknowledgements are cumulative, so choosing is in order. What is counted in one pass lies within alpha: its
// configuration is known.
void Core::count_votes() {
  const Slot own = held_upto(), before = at_.upto;
  std::array<Slot, Config::kVotersMax> acks;
  while (at_.upto < end_) {
    const Config& config = at_.config_at(at_.upto.next());
    size_t count = 0;
    for (const Config::Voter& voter : config.voters) {
      const Peer* each = voter.id == options_.self ? nullptr : peer(voter.id);
      acks[count++] = voter.id == options_.self ? own : each ? each->acked : Slot(0);
    }
    std::sort(acks.begin(), acks.begin() + count, std::greater<>());
    Slot upto = std::min({acks[config.phase2_quorum() - 1], end_, Slot(at_.upto.value + options_.alpha)});
    for (const Config& later : at_.configs)
      if (later.governs_from > at_.upto.next()) upto = std::min(upto, Slot(later.governs_from.value - 1));
    if (upto <= at_.upto) break;
    while (at_.upto < upto) {
      const Window::Cell* cell = window_.find(at_.upto.next());
      CHECK(cell);
      inflight_bytes_ -= std::min(inflight_bytes_, cell->record.bytes());
      if (!settle_next(cell->record)) return;
    }
  }
  if (at_.upto == before) return;
  after_chosen();
  // Under load the next Accept tells the others; when all is quiet they should not wait for a heartbeat.
  if (role_ == Role::Leader && at_.upto == end_)
    for (Peer& each : peers_) send_accept(each, true);
}

void Core::resolve_outcomes(const Record& chosen) {
  const auto resolve = [&](const Pending& pending) {
    out_->outcomes.push_back(
        {.tag = pending.tag,
         .result = pending.digest == chosen.digest ? Outcome::Result::Chosen : Outcome::Result::Dropped,
         .slot = chosen.slot,
         .leader = leader_});
  };
  while (!pending_.empty() && pending_.front().slot <= chosen.slot) {
    resolve(pending_.front());
    pending_.pop_front();
  }
  const auto [first, last] = orphans_.equal_range(chosen.slot);
  for (auto each = first; each != last; ++each) resolve(each->second);
  orphans_.erase(first, last);
}

void Core::leader_tick() {
  if (resting_) return call_absent();
  count_votes();
  if (role_ != Role::Leader) return;
  if (echoes_new_) renew_lease();
  // A leader that a quorum does not hear must not keep clients waiting.
  if (now_ - led_since_ >= options_.grant_ns && now_ >= quorum_until_) return step_down();
  propose_own_slot();
  fill_for_config();
  if (retiring_epoch_)
    refresh_peers();  // who holds enough is known by acknowledgements, not only when a slot is chosen
  trim_floor_ = at_.upto;
  for (Peer& each : peers_) {
    if (each.heard.ns != INT64_MIN && now_ - each.heard < 10 * options_.grant_ns)
      trim_floor_ = std::min(trim_floor_, each.chosen);
    if (each.acked.next() < each.next && each.progress.ns != INT64_MIN &&
        now_ - each.progress >= 2 * options_.heartbeat_ns) {
      each.next = std::max(each.acked, at_.upto).next();
      each.inflight = 0;
      each.progress = now_;
      each.holds.clear();
    }
  }
  trim();
  replicate();
  if (options_.rest_after_ns && now_ - active_at_ >= options_.rest_after_ns) offer_rest();
  if (resting_) return;
  for (Peer& each : peers_) {
    if (each.rests || (each.sent.ns != INT64_MIN && now_ - each.sent < options_.heartbeat_ns)) continue;
    send_accept(each, true);
    if (rest_offer_) send(each.id, Rest{.ballot = promised_, .stamp = stamp_});
  }
  release_reads();
  if (resigning_) try_handoff();
}

void Core::resign(ReplicaId to) {
  if (role_ != Role::Leader || resigning_) return;
  active();
  if (!to) {
    const Peer* best = nullptr;
    for (const Peer& each : peers_)
      if (is_live_voter(each.id) && each.heard.ns != INT64_MIN && (!best || each.acked > best->acked)) best = &each;
    if (!best) return;
    to = best->id;
  }
  if (to == options_.self || !is_live_voter(to)) return;
  resigning_ = Resigning{.to = to, .deadline = now_ + options_.grant_ns};
}

// Paxos needs no such step for safety: it only spares the others the wait for this leader's grants (as in Raft §3.10).
void Core::try_handoff() {
  const Peer* to = peer(resigning_->to);
  if (!to || now_ >= resigning_->deadline) {
    resigning_.reset();
    return;
  }
  if (at_.upto < end_ || to->acked < end_ || to->chosen < own_slot_) return;
  const Handoff message{.ballot = promised_, .to = to->id};
  const ReplicaId successor = to->id;
  for (const ReplicaId id : live_voters())
    if (id != options_.self) send(id, message);
  step_down();
  others_turn_until_ = now_ + options_.grant_ns;
  set_role(Role::Follower, successor);
}

}  // namespace hailstone::paxos
