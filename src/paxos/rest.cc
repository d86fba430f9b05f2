// Rest: a group with nothing to do costs no message and no timer (README.md, "Rest"). Only timers stop: what is
// promised, granted or leased stays what it is, and runs out as it would.
#include <algorithm>

#include "paxos/core.h"

namespace hailstone::paxos {

// Somebody here wants something. Voters that hear no leader stand; others can only make them look.
void Core::asked() {
  if (role_ == Role::Leader) active();
  if (resting_) return wake(Asker::Own);
  if (role_ != Role::Follower || now_ < grant_.until || is_live_voter(options_.self)) return;
  if (now_ - poked_ >= options_.heartbeat_ns) poke();
}

// Something is asked of the leader: whoever rests is told by the next Accept, which leaves in this step.
void Core::active() {
  active_at_ = now_;
  if (!resting_ && !rest_offer_) return;
  if (resting_) led_since_ = now_;  // a grant's time to find the quorum again
  for (Peer& each : peers_) {
    if (resting_ && each.rests) each.heard = now_;
    each.rests = false;
    each.sent = Time{INT64_MIN};
  }
  resting_ = false;
  rest_offer_ = 0;
}

// No step of the protocol is under way at this leader.
bool Core::nothing_open() const {
  return at_.upto == end_ && own_slot_ <= at_.upto && waiting_.empty() && orphans_.empty() && !resigning_ &&
         !pending_config_ && at_.configs.size() == 1 && !retiring_epoch_ && is_live_voter(options_.self);
}

// An offer goes with a heartbeat, and again with each to those who have not agreed; who has gets none, so it must end
// while their grants still run. Members that are gone are not waited for: when they come back they ask.
void Core::offer_rest() {
  if (!nothing_open()) return active();
  if (hard_dirty_) write_hard();
  if (persisted_.next() != next_write_) return;
  if (!rest_offer_) {
    rest_offer_ = stamp_ + 1;
    rest_offer_until_ = now_ + options_.grant_ns / 2;
    for (Peer& each : peers_) each.sent = Time{INT64_MIN};
  }
  const auto gone = [&](const Peer& each) {
    return std::ranges::find(down_, each.id) != down_.end() ||
           now_ - std::max(each.heard, led_since_) >= 10 * options_.grant_ns;
  };
  const auto rests = [&](ReplicaId id) {
    const Peer* each = peer(id);
    return id == options_.self || (each && each->rests);
  };
  if (std::ranges::all_of(peers_, [&](const Peer& each) { return each.rests || gone(each); }) &&
      all_quorums(live(), &Config::phase2_quorum, rests)) {
    resting_ = true;
    rest_offer_ = 0;
    const bool complete = std::ranges::all_of(peers_, &Peer::rests);
    call_absent_at_ = complete ? kNever : now_ + kCallAbsent * options_.rest_after_ns;
    return release_memory();
  }
  if (now_ >= rest_offer_until_) active();
}

// Who did not agree may be alive and rest itself, under a leader of before, and be behind: it is called now and then.
void Core::call_absent() {
  if (now_ < call_absent_at_) return;
  call_absent_at_ = now_ + kCallAbsent * options_.rest_after_ns;
  for (Peer& each : peers_)
    if (!each.rests) send_accept(each, true);
}

void Core::on_rest(ReplicaId from, const Rest& message) {
  if (!options_.rest_after_ns || role_ != Role::Follower || message.ballot.who != from ||
      message.ballot != following_ || message.stamp <= void_stamp_)
    return;
  rest_wanted_ = message.stamp;
  if (resting_ && rest_wanted_ == stamp_to_echo_) send(from, Resting{.ballot = following_, .stamp = rest_wanted_});
}

// A follower agrees when exactly what the Accept of that stamp said is here, durably, and nothing else is under way.
// That all of it is chosen is made durable too: nobody keeps it in memory from now on.
void Core::try_rest() {
  if (resting_ || role_ != Role::Follower || following_ != promised_ || at_.upto != known_chosen_ ||
      leader_end_ > at_.upto || blind_ || installing_ || !forwarded_.empty() || !to_forward_.empty() ||
      !orphans_.empty())
    return;
  if (hard_dirty_) write_hard();
  if (persisted_.next() != next_write_) return;
  stand_at_ = kNever;
  resting_ = true;
  send(leader_, Resting{.ballot = following_, .stamp = rest_wanted_});
  release_memory();
}

void Core::on_resting(ReplicaId from, const Resting& message) {
  if (role_ != Role::Leader || message.ballot != promised_ || !rest_offer_ || message.stamp < rest_offer_) return;
  Peer* each = peer(from);
  if (!each) return;
  each->heard = now_;
  each->rests = true;
}

// A follower at rest is asked for something: it makes sure that its leader is alive, and stands when nothing is heard
// for as long as a grant lasts. Until shortly before that it is the leader's turn, so that no other who asks is
// elected.
void Core::wake(Asker asker) {
  if (!is_live_voter(options_.self)) return poke();
  void_stamp_ = stamp_to_echo_;
  rest_wanted_ = 0;
  others_turn_until_ = now_ + (options_.grant_ns - options_.heartbeat_ns);
  schedule_candidacy(std::max(grant_.until, now_ + options_.grant_ns));
  if (asker == Asker::Own) poke();
  if (asker == Asker::Member) send(leader_, Probe{.ballot = {round_seen_ + 1, options_.self}, .chosen = at_.upto});
}

// Whoever rests holds all that is chosen, so nobody will ask for the tail soon.
void Core::release_memory() {
  evict_tail();
  stamps_.release();
  pending_.release();
  waiting_.release();
  to_forward_ = std::vector<uint64_t>();
}

// Asks all voters, without wanting an answer: a leader among them speaks up, and who rests is woken.
void Core::poke() {
  poked_ = now_;
  for (const ReplicaId id : live_voters())
    if (id != options_.self) send(id, Probe{.ballot = {round_seen_ + 1, options_.self}, .chosen = at_.upto});
}

}  // namespace hailstone::paxos
