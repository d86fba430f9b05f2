// Phase 1b and 2b: promising, storing, acknowledging, granting (Paxos Made Simple §2.2; the grants: README.md,
// "Lease").
#include <algorithm>
#include <utility>

#include "paxos/core.h"

namespace hailstone::paxos {

// I7: while a grant runs, nobody but its holder is promised anything.
bool Core::bound_by_grant(ReplicaId candidate) const {
  if (role_ == Role::Leader && now_ < lease_until_) return candidate != options_.self;
  return now_ < grant_.until && grant_.ballot.who != candidate;
}

void Core::on_prepare(ReplicaId from, const Prepare& message) {
  if (message.ballot.who != from) return;
  round_seen_ = std::max(round_seen_, message.ballot.round);
  const bool again = message.ballot == promised_;
  if (message.ballot < promised_ || (again && (following_ == promised_ || role_ != Role::Follower)) || blind_ ||
      now_ < no_promise_before_ || bound_by_grant(from))
    return send(from, Refuse{.promised = promised_});
  if (!again) {
    if (role_ == Role::Leader) step_down();
    abandon_candidacy();
    promised_ = message.ballot;
    following_ = {};
    write_hard();
    promised_write_ = write().id;
    set_role(Role::Follower, ReplicaId(0));
  }
  others_turn_until_ = now_ + 2 * options_.heartbeat_ns;
  schedule_candidacy(others_turn_until_);
  Promise promise{.ballot = promised_, .from = message.from, .chosen = known_chosen_, .chosen_digest = known_digest_};
  for (const Slot slot : window_.slots_after(
           std::max(known_chosen_, Slot(message.from.value - std::min<uint64_t>(message.from.value, 1))))) {
    promise.headers.push_back(window_.find(slot)->record);
    promise.headers.back().data = nullptr;
  }
  if (durable(promised_write_))
    send(from, std::move(promise));
  else
    send_after_write(from, std::move(promise));
}

// An Accept of a ballot that may be obeyed makes its sender the leader here.
void Core::obey(Ballot ballot, LifeId life, uint64_t stamp) {
  if (ballot > promised_) {
    if (role_ == Role::Leader) step_down();
    promised_ = ballot;
    round_seen_ = std::max(round_seen_, ballot.round);
    write_hard();
    promised_write_ = write().id;
  }
  abandon_candidacy();
  if (following_ != ballot) {
    following_ = ballot;
    base_ = held_ = stored_ = leader_end_ = Slot(0);
    stamp_to_echo_ = rest_wanted_ = void_stamp_ = 0;
    resent_ = resting_ = false;
  }
  failed_candidacies_ = 0;
  others_turn_until_ = Time{INT64_MIN};  // he has had it; from now on his grant binds
  if (grant_.ballot != ballot) grant_ = {.ballot = ballot, .life = life};
  grant_.life = life;
  grant_.until = std::max(grant_.until, now_ + options_.grant_ns);
  // What was sent before the offer of rest that this replica took does not wake it.
  if (!resting_ || stamp > stamp_to_echo_) schedule_candidacy(grant_.until);
  if (role_ != Role::Removed) set_role(Role::Follower, ballot.who);
}

void Core::on_accept(ReplicaId from, Accept& message) {
  if (message.ballot.who != from) return;
  if (message.ballot < promised_) return send(from, Refuse{.promised = promised_});
  if (from == options_.self) return;
  obey(message.ballot, message.life, message.stamp);
  base_ = std::max(base_, message.chosen);
  note_chosen(message.chosen, message.chosen_digest, message.ballot);
  leader_end_ = std::max(leader_end_, message.end);
  stamp_to_echo_ = std::max(stamp_to_echo_, message.stamp);
  trim_floor_ = std::max(trim_floor_, message.trim_floor);
  if (blind_ && message.resent_for == options_.life && options_.life) {
    resent_ = true;
    resent_chosen_ = message.chosen;
    resent_end_ = message.end;
  }
  if (message.checked) {
    leader_checked_ = message.checked;
    leader_checksum_ = message.checksum;
  }
  advance_chosen();
  if (role_ == Role::Stopped) return;
  bool wrote = false;
  for (Record& record : message.records) {
    record.ballot = message.ballot;
    if (record.slot <= at_.upto) continue;
    stored_ = std::max(stored_, record.slot);
    const Window::Cell* held = window_.find(record.slot);
    if (held && held->record.ballot == message.ballot) continue;
    if (!record.data) {
      if (!held || held->record.digest != record.digest) continue;  // stays missing; the leader is told
      record.data = held->record.data;
    } else if (digest_of(record) != record.digest) {
      continue;  // damaged on the way
    }
    store(std::move(record), false);
    wrote = true;
  }
  if (!wrote) ack_due_ = true;
}

// I2: everything behind the leader's chosen slot, at this ballot and durable. What is chosen already need not be held.
Slot Core::held_upto() {
  held_ = std::max({held_, base_, known_chosen_});
  for (const Window::Cell* cell;
       (cell = window_.find(held_.next())) && cell->record.ballot == following_ && durable(cell->write);)
    held_ = held_.next();
  return held_;
}

void Core::acknowledge() {
  ack_due_ = false;
  if (!following_ || role_ == Role::Leader || !durable(promised_write_)) return;
  const Slot upto = held_upto();
  Slot missing = upto.next();
  while (missing <= stored_) {
    const Window::Cell* cell = window_.find(missing);
    if (!cell || cell->record.ballot != following_) break;
    missing = missing.next();
  }
  if (blind_ && resent_ && at_.upto >= resent_chosen_ && upto >= resent_end_) {
    blind_ = false;
    out_->events.push_back(Healed{});
  }
  send(following_.who, Accepted{.ballot = following_,
                                .stamp = stamp_to_echo_,
                                .upto = upto,
                                .missing = missing <= stored_ ? missing : Slot(0),
                                .chosen = at_.upto,
                                .blind = blind_ ? options_.life : LifeId(0)});
}

void Core::on_handoff(ReplicaId from, const Handoff& message) {
  if (message.ballot.who != from || message.ballot != following_ || message.ballot != promised_) return;
  grant_.until = Time{INT64_MIN};
  if (message.to == options_.self && is_live_voter(options_.self) && !blind_) return stand(false);
  others_turn_until_ = now_ + options_.grant_ns;
  schedule_candidacy(others_turn_until_);
  if (role_ != Role::Removed) set_role(Role::Follower, ReplicaId(0));
}

// The holder's process is gone: what it may have read, it read before.
void Core::on_obituary(const Obituary& obituary) {
  if (grant_.ballot.who != obituary.who || grant_.life != obituary.life || (now_ >= grant_.until && !resting_)) return;
  grant_.until = std::min(grant_.until, now_);
  if (role_ != Role::Follower) return;
  if (promised_.who == obituary.who) others_turn_until_ = Time{INT64_MIN};
  set_role(Role::Follower, ReplicaId(0));
  schedule_candidacy(now_);
}

}  // namespace hailstone::paxos
