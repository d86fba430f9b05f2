// Who counts, and how that changes ("Members" in README.md).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "paxos/core.h"

namespace hailstone::paxos {

bool Core::is_live_voter(ReplicaId id) const {
  return std::ranges::any_of(live(), [&](const Config& config) { return config.is_voter(id); });
}

bool Core::is_known_member(ReplicaId id) const {
  return std::ranges::any_of(live(),
                             [&](const Config& config) { return config.is_voter(id) || config.is_learner(id); });
}

std::set<ReplicaId> Core::live_voters() const {
  std::set<ReplicaId> voters;
  for (const Config& config : live())
    for (const Config::Voter& voter : config.voters) voters.insert(voter.id);
  return voters;
}

const Config& Core::config_naming(ReplicaId voter) const {
  for (const Config& config : live())
    if (config.is_voter(voter)) return config;
  CHECK(false);
}

void Core::reconfigure(Reconfigure& request) {
  Outcome refusal{.tag = request.tag, .result = Outcome::Result::Invalid, .leader = leader_};
  if (role_ == Role::Leader) active();
  if (role_ != Role::Leader || resigning_) {
    refusal.result = Outcome::Result::NotLeader;
  } else if (room() == 0 || at_.upto < own_slot_) {
    refusal.result = Outcome::Result::Busy;
  } else if (pending_config_ || at_.configs.size() > 1 || retiring_epoch_) {
    refusal.result = Outcome::Result::Busy;
    refusal.why = "another change of members is under way";
  } else {
    refusal.why = request.next.problem();
    for (const Config::Voter& voter : request.next.voters) {
      if (at_.configs[0].is_voter(voter.id) || !refusal.why.empty()) continue;
      const Peer* each = peer(voter.id);
      if (!each || each->chosen.value + options_.alpha < at_.upto.value)
        refusal.why = fmt::format("replica {} is not a learner that has caught up: a voter must be", voter.id.value);
    }
    if (refusal.why.empty()) {
      request.next.epoch = at_.configs[0].epoch + 1;
      request.next.governs_from = Slot(end_.value + 1 + options_.alpha);
      append(Kind::Config, std::make_shared<const Bytes>(request.next.encode()), request.tag);
      pending_config_ = std::make_unique<const Config>(std::move(request.next));
      refresh_peers();
      return fill_for_config();
    }
  }
  out_->outcomes.push_back(std::move(refusal));
}

// A configuration governs alpha slots after its own; so that it does so soon, the slots between are filled.
void Core::fill_for_config() {
  const Config* newest = pending_config_          ? pending_config_.get()
                         : at_.configs.size() > 1 ? &at_.configs.back()
                                                  : nullptr;
  if (!newest) return;
  while (end_.next() < newest->governs_from && end_.value - at_.upto.value < options_.alpha)
    append(Kind::Noop, std::make_shared<const Bytes>(), {});
}

void Core::config_progress() {
  if (at_.configs.empty()) return;
  if (pending_config_ && at_.configs.back().epoch >= pending_config_->epoch) pending_config_.reset();
  const Config& current = at_.configs.front();
  if (current.epoch != active_.epoch) {
    const Config former = std::exchange(active_, current);
    out_->events.push_back(ConfigActive{.config = current});
    if (role_ == Role::Leader && former.epoch) {
      retiring_epoch_ = former.epoch;
      for (const Config::Voter& voter : former.voters)
        if (!is_known_member(voter.id)) retiring_.push_back(voter.id);
      for (const ReplicaId id : former.learners)
        if (!is_known_member(id)) retiring_.push_back(id);
    }
  }
  const bool member = is_known_member(options_.self) || role_ == Role::Leader;
  was_member_ |= member;
  if (!member && was_member_ && role_ != Role::Removed) {
    abandon_candidacy();
    set_role(Role::Removed, leader_);
  }
  if (member && role_ == Role::Removed) set_role(Role::Follower, leader_);
  if (!is_live_voter(options_.self)) {
    if (leader_ || !member) stand_at_ = kNever;
  } else if (stand_at_ == kNever && role_ == Role::Follower && !candidacy_) {
    schedule_candidacy(std::max(grant_.until, now_ + options_.grant_ns));
  }
  if (role_ != Role::Leader) return;
  refresh_peers();
  if (!is_live_voter(options_.self)) resign(ReplicaId(0));
}

// The members that are sent to: of all configurations that govern or soon may, and those that have yet to hear that
// they do not any more.
void Core::refresh_peers() {
  if (retiring_epoch_) {
    // Members of the former configuration can go when a phase-1 quorum of the present one holds all that they decided.
    const Slot decided(active_.governs_from.value - std::min<uint64_t>(active_.governs_from.value, 1));
    const auto holds = [&](ReplicaId id) {
      const Peer* each = peer(id);
      return id == options_.self ? at_.upto >= decided : each && each->chosen >= decided;
    };
    const std::span<const Config> active(&active_, 1);
    if (all_quorums(active, &Config::phase1_quorum, holds)) {
      for (const ReplicaId id : retiring_)
        if (Peer* each = peer(id)) send_accept(*each, true);
      out_->events.push_back(ConfigRetired{.epoch = *retiring_epoch_});
      retiring_epoch_.reset();
      retiring_.clear();
    }
  }
  const PeersOf now{.first = at_.configs.empty() ? 0 : at_.configs.front().epoch,
                    .last = at_.configs.empty() ? 0 : at_.configs.back().epoch,
                    .pending = pending_config_ ? pending_config_->epoch : 0,
                    .retiring = retiring_epoch_.value_or(0)};
  if (peers_of_ == now) return;
  peers_of_ = now;
  echoes_new_ = true;
  std::set<ReplicaId> wanted(retiring_.begin(), retiring_.end());
  const auto add = [&](const Config& config) {
    for (const Config::Voter& voter : config.voters) wanted.insert(voter.id);
    wanted.insert(config.learners.begin(), config.learners.end());
  };
  for (const Config& config : at_.configs) add(config);
  if (pending_config_) add(*pending_config_);
  wanted.erase(options_.self);
  std::erase_if(peers_, [&](const Peer& each) { return !wanted.contains(each.id); });
  for (const ReplicaId id : wanted)
    if (!peer(id)) {
      Peer fresh{.id = id, .next = at_.upto.next()};
      peers_.insert(std::ranges::lower_bound(peers_, id, {}, &Peer::id), std::move(fresh));
    }
}

}  // namespace hailstone::paxos
