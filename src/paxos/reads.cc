// Linearizable reads: under the lease without asking anyone, else by asking a quorum (read-index; Raft thesis §6.4).
#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "paxos/core.h"

namespace hailstone::paxos {

// The holder's lease must end before any grant does, however fast or slow within the bound the clocks run: a grant of G
// by the slowest granter's clock lasts at least G / (1 + e) of real time from its receipt; a lease of L by this clock
// lasts at most L / (1 - e) from the sending, which was before.
int64_t Options::lease_ns() const {
  const auto ppm = static_cast<int64_t>(clock_error_ppm);
  return grant_ns / 1'000'000 * (1'000'000 - ppm) / (1'000'000 + ppm) * 1'000'000;
}

// The latest time by which so many voters have echoed a stamp that was sent then; kNever: this one alone is enough.
Time Core::echoed_by(const Config& config, size_t count) const {
  std::array<Time, Config::kVotersMax> stamps;
  size_t voters = 0;
  for (const Config::Voter& voter : config.voters) {
    const Peer* each = voter.id == options_.self ? nullptr : peer(voter.id);
    stamps[voters++] = voter.id == options_.self ? kNever : each ? each->echoed_sent : Time{INT64_MIN};
  }
  std::sort(stamps.begin(), stamps.begin() + voters, std::greater<>());
  return stamps[count - 1];
}

// Counted from the sending of a stamp that enough voters echoed that every phase-1 quorum meets one of them.
void Core::renew_lease() {
  echoes_new_ = false;
  lease_until_ = quorum_until_ = kNever;
  const auto limit = [](Time& until, Time sent, int64_t length) {
    if (sent != kNever) until = std::min(until, sent.ns == INT64_MIN ? sent : sent + length);
  };
  for (const Config& config : live()) {
    limit(lease_until_, echoed_by(config, config.lease_quorum()), options_.lease_ns());
    limit(quorum_until_, echoed_by(config, config.phase2_quorum()), options_.grant_ns);
  }
  if (!options_.lease_reads) lease_until_ = Time{INT64_MIN};
}

// I8.
bool Core::may_read(Time now) const {
  return role_ == Role::Leader && options_.lease_reads && now < lease_until_ && own_slot_ <= at_.upto;
}

bool Core::confirmed(uint64_t stamp) const {
  return all_quorums(live(), &Config::lease_quorum, [&](ReplicaId id) {
    if (id == options_.self) return true;
    const auto found = std::ranges::lower_bound(peers_, id, {}, &Peer::id);
    return found != peers_.end() && found->id == id && found->echoed >= stamp;
  });
}

void Core::read(uint64_t tag) {
  asked();
  if (may_read(now_)) {
    out_->reads.push_back({.tag = tag, .ok = true, .index = at_.upto, .leader = leader_});
  } else if (role_ == Role::Leader && waiting_.size() < kReadsMax) {
    waiting_.push_back({.tag = tag, .stamp = stamp_ + 1, .index = at_.upto});
  } else if (role_ == Role::Follower && leader_ && to_forward_.size() < kReadsMax) {
    to_forward_.push_back(tag);
  } else {
    out_->reads.push_back({.tag = tag, .ok = false, .leader = leader_});
  }
}

void Core::on_read_request(ReplicaId from, const ReadRequest& message) {
  if (role_ == Role::Leader) active();
  if (role_ == Role::Leader && may_read(now_))
    return send(from, ReadReply{.id = message.id, .life = message.life, .ok = true, .index = at_.upto});
  if (role_ != Role::Leader || waiting_.size() >= kReadsMax)
    return send(from, ReadReply{.id = message.id, .life = message.life});
  waiting_.push_back(
      {.remote = from, .remote_id = message.id, .remote_life = message.life, .stamp = stamp_ + 1, .index = at_.upto});
}

// A read waits for a stamp that was sent after it came: whoever echoes that had promised no later leader then.
void Core::release_reads() {
  const bool lease = may_read(now_);
  while (!waiting_.empty() && own_slot_ <= at_.upto && (lease || confirmed(waiting_.front().stamp))) {
    WaitingRead each = std::move(waiting_.front());
    waiting_.pop_front();
    const Slot index = lease ? at_.upto : std::max(each.index, own_slot_);
    if (each.remote)
      send(each.remote, ReadReply{.id = each.remote_id, .life = each.remote_life, .ok = true, .index = index});
    else
      out_->reads.push_back({.tag = each.tag, .ok = true, .index = index, .leader = leader_});
  }
  if (waiting_.empty() || own_slot_ > at_.upto || stamp_ >= waiting_.back().stamp) return;
  if (read_round_ && !confirmed(read_round_)) return;  // one round at a time carries all that came meanwhile
  stamped_ = false;
  for (Peer& each : peers_) send_accept(each, true);
  read_round_ = stamp_;
}

void Core::fail_reads() {
  for (const WaitingRead& each : waiting_)
    if (each.remote)
      send(each.remote, ReadReply{.id = each.remote_id, .life = each.remote_life});
    else
      out_->reads.push_back({.tag = each.tag, .ok = false});
  waiting_.release();
  for (const auto& [id, forwarded] : forwarded_)
    for (const uint64_t tag : forwarded.tags) out_->reads.push_back({.tag = tag, .ok = false});
  forwarded_.clear();
  for (const uint64_t tag : to_forward_) out_->reads.push_back({.tag = tag, .ok = false});
  to_forward_.clear();
}

// I9: an answer to an earlier attempt can't serve a later one.
void Core::on_read_reply(ReplicaId, const ReadReply& message) {
  const auto found = forwarded_.find(message.id);
  if (found == forwarded_.end() || message.life != options_.life) return;
  for (const uint64_t tag : found->second.tags)
    out_->reads.push_back({.tag = tag, .ok = message.ok, .index = message.index, .leader = leader_});
  forwarded_.erase(found);
}

void Core::reads_tick() {
  for (auto each = forwarded_.begin(); each != forwarded_.end();) {
    if (now_ - each->second.sent < 4 * options_.heartbeat_ns && role_ == Role::Follower) {
      ++each;
      continue;
    }
    for (const uint64_t tag : each->second.tags) out_->reads.push_back({.tag = tag, .ok = false, .leader = leader_});
    each = forwarded_.erase(each);
  }
  if (to_forward_.empty()) return;
  if (role_ != Role::Follower || !leader_) {
    for (const uint64_t tag : std::exchange(to_forward_, {}))
      out_->reads.push_back({.tag = tag, .ok = false, .leader = leader_});
    return;
  }
  if (forwarded_.size() >= 2) return;
  const ReadId id = next_read_;
  next_read_ = next_read_.next();
  forwarded_.emplace(id, Forwarded{.tags = std::exchange(to_forward_, {}), .sent = now_});
  send(leader_, ReadRequest{.id = id, .life = options_.life});
}

}  // namespace hailstone::paxos
