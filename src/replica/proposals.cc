#include "replica/proposals.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace hailstone::replica {
namespace {

using paxos::Ballot;
using paxos::ReplicaId;
using paxos::Time;

/// Commands on their way to the leader that it has not chosen; in one message. One at least.
constexpr uint64_t kWindowBytes = 4u << 20, kMessageBytes = 1u << 20;
/// Lives of one member that a leader remembers during its ballot: no frame is late by so many restarts.
constexpr size_t kLivesMax = 64;

}  // namespace

// ---- this member's commands ----

void Proposals::add(paxos::SharedBytes command, Done done, Ballot only, Time now) {
  ++own_;
  strays_ |= only && only != led_;
  queue_.push_back({.data = std::move(command), .done = std::move(done), .since = now, .only = only});
}

void Proposals::receive(ReplicaId from, ForwardMessage message) { inbox_.emplace_back(from, std::move(message)); }

Proposals::Item* Proposals::find(uint64_t number) {
  if (flight_.empty()) return nullptr;
  const auto found =
      flight_.front().number == number ? flight_.begin() : std::ranges::lower_bound(flight_, number, {}, &Item::number);
  return found != flight_.end() && found->number == number && found->data ? &*found : nullptr;
}

/// What is settled stays as a gap until all before it is.
void Proposals::trim_flight() {
  while (!flight_.empty() && !flight_.front().data) flight_.pop_front();
  while (!flight_.empty() && !flight_.back().data) flight_.pop_back();
}

void Proposals::answer(Item& item, const Error& why) {
  if (!item.done) return;
  --own_;
  std::exchange(item.done, nullptr)(std::unexpected(why));
}

void Proposals::settle(const paxos::Outcome& outcome) {
  Item* const item = flight_local_ ? find(outcome.tag) : nullptr;
  if (!item) return;
  using enum paxos::Outcome::Result;
  switch (outcome.result) {
    case Dropped: return;  // a record of a later ballot follows it, and settles all that was proposed under this one
    case Chosen:
      if (item->done) {
        --own_;
        answers_.emplace_back(outcome.slot, std::move(item->done));
      }
      break;
    case NotLeader:
    case Busy: busy_.push_back(std::move(*item)); break;
    // The replica has forgotten it, so it must not be proposed again.
    case Unknown: answer(*item, {Code::Timeout, "another replica took over: it may be done, now or later"}); return;
    case Invalid: answer(*item, {Code::Invalid, outcome.why}); break;
  }
  if (item->others() && outcome.result != Busy && outcome.result != NotLeader) taken_bytes_ -= item->bytes();
  item->data.reset();
  item->done = nullptr;
  trim_flight();
}

Proposals::Done Proposals::chosen(const paxos::Record& record) {
  Done done;
  // Outcomes come by slot, but those of former ballots among them.
  if (!answers_.empty()) {
    const auto found = std::ranges::find(answers_, record.slot, &std::pair<Slot, Done>::first);
    if (found != answers_.end()) {
      done = std::move(found->second);
      answers_.erase(found);
    }
  }
  if (flight_.empty()) return done;
  // In the order of their numbers, as the leader takes them.
  if (record.kind == paxos::Kind::Forwarded && !flight_local_)
    if (const auto from = unwrap(*record.data); from && from->origin == origin(flight_.front().number)) {
      Item& item = flight_.front();
      if (item.done) --own_;
      done = std::move(item.done);
      flight_bytes_ -= item.bytes();
      flight_.pop_front();
    }
  // Origins do not fall along the log, and each record names the one before it: whatever was proposed under the former
  // ballot and is not in the log by now never will be.
  if (!flight_.empty() && record.origin > flight_ballot_) requeue(std::exchange(flight_, {}));
  return done;
}

/// Not done and never will be: they are the next to be proposed, before what came after them.
void Proposals::requeue(std::deque<Item> items) {
  for (std::deque<Item>* const group : {&busy_, &items}) {
    for (auto each = group->rbegin(); each != group->rend(); ++each) {
      if (!each->data) continue;
      if (each->only && group == &items) answer(*each, {Code::Unavailable, "another replica took over: not done"});
      const bool own = each->done != nullptr;
      if (own || (group == &busy_ && each->others()))
        queue_.push_front(std::move(*each));
      else if (each->others())
        taken_bytes_ -= each->bytes();
    }
    group->clear();
  }
}

void Proposals::refuse_strays(Ballot led) {
  if (led == std::exchange(led_, led) && !std::exchange(strays_, false)) return;
  strays_ = false;
  const auto stray = [&](const Item& each) { return each.only && each.only != led; };
  for (Item& each : queue_)
    if (stray(each)) answer(each, {Code::Unavailable, "this replica leads no more: not done"});
  std::erase_if(queue_, stray);
}

void Proposals::snapshot_installed() {
  if (flight_local_) return;
  for (Item& each : flight_)
    answer(each, {Code::Timeout, "a snapshot took the place of the log: it may be done, now or later"});
  flight_.clear();
}

void Proposals::refuse_waiting(const Error& why) {
  requeue({});
  for (Item& each : queue_) answer(each, why);
  std::erase_if(queue_, [](const Item& each) { return !each.others(); });
}

void Proposals::answer_flight(const Error& why) {
  for (Item& each : flight_) answer(each, why);
  if (!flight_local_) flight_.clear();
}

// ---- turns ----

Proposals::Turn Proposals::turn(Time now, const paxos::Replica& replica, const std::optional<Error>& refusal) {
  Turn out;
  CHECK(answers_.empty());
  requeue({});
  const bool leads = replica.role() == paxos::Role::Leader;
  const Ballot promised = replica.ballot();
  if (taking_in_ && !(leads && promised == taking_in_)) drop_others();
  for (auto& [from, message] : std::exchange(inbox_, {}))
    if (const auto* reply = std::get_if<ForwardReply>(&message)) {
      on_reply(*reply, now);
    } else if (const auto& forward = std::get<Forward>(message); leads && forward.ballot == promised) {
      taking_in_ = promised;
      take(from, forward, refusal, out);
    }
  refuse_strays(leads ? promised : Ballot());
  const Time stalled = std::exchange(stalled_, paxos::kNever);
  wake_ = paxos::kNever;
  if (queue_.empty() && flight_.empty()) return out;
  const bool alive = flight_local_ && leads && promised == flight_ballot_;  // the replica will say what became of it
  if (!leads) expire_waiting(now);
  if (!alive) expire_flight(now);
  if (refusal && own_ > 0) refuse_waiting(*refusal);
  const Ballot ballot = leads || (replica.leader() && promised.who == replica.leader()) ? promised : Ballot();
  if (!ballot || (!flight_.empty() && flight_ballot_ != ballot)) {
    if (!queue_.empty()) {
      stalled_ = stalled == paxos::kNever ? now : stalled;
      out.ask = stalled == paxos::kNever;
    }
    if (stalled_ != paxos::kNever && now - stalled_ >= options_.leader_wait_ns) {
      refuse_waiting({Code::Unavailable, "no replica leads"});
      stalled_ = paxos::kNever;
    }
  } else if (leads) {
    if (!refusal) propose(replica.room(), ballot, out);
  } else {
    forward(now, ballot, out);
    out.ask |= replica.resting() && !out.messages.empty();
  }
  const auto at = [&](Time time) { wake_ = std::min(wake_, time); };
  if (stalled_ != paxos::kNever) at(stalled_ + options_.leader_wait_ns);
  if (!leads && !queue_.empty()) at(queue_.front().since + options_.answer_ns);
  if (!flight_.empty() && !(flight_local_ && leads && promised == flight_ballot_)) {
    const auto first = std::ranges::find_if(flight_, [](const Item& each) { return each.done != nullptr; });
    if (first != flight_.end()) at(first->since + options_.answer_ns);
    if (!flight_local_ && flight_ballot_ == ballot && acked_ < sent_) at(progress_ + options_.resend_ns);
  }
  return out;
}

void Proposals::expire_waiting(Time now) {
  while (!queue_.empty() && now - queue_.front().since >= options_.answer_ns) {
    answer(queue_.front(), {Code::Unavailable, "nobody took it in time"});
    queue_.pop_front();
  }
}

void Proposals::expire_flight(Time now) {
  for (Item& each : flight_) {
    if (!each.data) continue;
    if (now - each.since < options_.answer_ns) break;
    answer(each, {Code::Timeout, "nobody has answered: it may be done, now or later"});
    if (flight_local_) continue;
    flight_bytes_ -= each.bytes();
    each.data.reset();
  }
  trim_flight();
}

void Proposals::begin_flight(Ballot ballot, bool local) {
  if (!flight_.empty()) return;
  flight_ballot_ = ballot;
  flight_local_ = local;
  acked_ = sent_ = next_number_;
  flight_bytes_ = 0;
  cut_ = probing_ = false;
}

Proposals::Item& Proposals::launch() {
  Item& item = flight_.emplace_back(std::move(queue_.front()));
  queue_.pop_front();
  item.number = next_number_++;
  return item;
}

void Proposals::propose(size_t room, Ballot ballot, Turn& out) {
  begin_flight(ballot, true);
  for (uint64_t bytes = 0; !queue_.empty() && out.proposals.size() < room && bytes < options_.batch_bytes_max;) {
    const Item& item = launch();
    bytes += item.bytes();
    out.proposals.push_back({.tag = item.number, .data = item.data, .kind = item.kind});
  }
}

void Proposals::forward(Time now, Ballot ballot, Turn& out) {
  begin_flight(ballot, false);
  while (!queue_.empty() && !cut_ && (flight_.empty() || flight_bytes_ + queue_.front().bytes() <= kWindowBytes))
    flight_bytes_ += launch().bytes();
  if (flight_.empty()) return;
  const uint64_t first = flight_.front().number, end = flight_.back().number + 1;
  acked_ = std::max(acked_, first);
  sent_ = std::max(sent_, acked_);
  if (acked_ < sent_ && now - progress_ >= options_.resend_ns) {
    sent_ = acked_;
    probing_ = out.ask = true;
    progress_ = now;
  } else if (probing_ && sent_ > acked_) {
    return;
  }
  if (acked_ == sent_) progress_ = now;
  while (sent_ < end) {
    Forward message{.group = options_.group, .ballot = ballot, .life = options_.life, .begin = first, .first = sent_};
    for (uint64_t bytes = 0; sent_ < end && bytes < kMessageBytes; ++sent_) {
      message.commands.push_back(flight_[sent_ - first].data);
      bytes += message.commands.back()->size() + 1;
    }
    out.messages.emplace_back(ballot.who, std::move(message));
    if (probing_) return;
  }
}

// A refusal counts only as long as the leader can't have heard of a higher `begin`, by which it would take again what
// it had refused.
void Proposals::on_reply(const ForwardReply& reply, Time now) {
  if (flight_local_ || flight_.empty() || reply.ballot != flight_ballot_ || reply.life != options_.life) return;
  if (reply.next > acked_) {
    acked_ = std::min(reply.next, flight_.back().number + 1);
    progress_ = now;
    probing_ = false;
  }
  if (!reply.refused || reply.begin != flight_.front().number) return;
  while (!flight_.empty() && flight_.back().number >= reply.next) {
    flight_bytes_ -= flight_.back().bytes();
    answer(flight_.back(), reply.why);
    flight_.pop_back();
  }
  cut_ = true;
}

// ---- as a leader ----

Proposals::Taker& Proposals::taker(ReplicaId from, paxos::LifeId life) {
  std::vector<Taker>& lives = takers_[from];
  const auto found = std::ranges::find(lives, life, &Taker::life);
  if (found != lives.end()) return *found;
  if (lives.size() == kLivesMax) lives.erase(lives.begin());
  return lives.emplace_back(Taker{.life = life, .refused = {}});
}

void Proposals::take(ReplicaId from, const Forward& forward, const std::optional<Error>& refusal, Turn& out) {
  Taker& taker = this->taker(from, forward.life);
  if (forward.begin < taker.begin) return;  // late
  if (forward.begin > taker.begin) {
    taker.begin = forward.begin;
    taker.next = std::max(taker.next, taker.begin);
    taker.refused.reset();
  }
  uint64_t number = forward.first;
  for (const paxos::SharedBytes& command : forward.commands) {
    const uint64_t each = number++;
    if (each < taker.next) continue;                // came before
    if (each > taker.next || taker.refused) break;  // one before it was lost; or refused
    taker.refused = refusal;
    if (refusal || (taken_bytes_ && taken_bytes_ + command->size() > options_.taken_bytes_max)) break;
    const Origin origin{.replica = from, .life = forward.life, .number = each};
    queue_.push_back({.data = std::make_shared<const Bytes>(wrap(origin, *command)), .kind = paxos::Kind::Forwarded});
    taken_bytes_ += queue_.back().bytes();
    ++taker.next;
  }
  ForwardReply reply{.group = options_.group,
                     .ballot = forward.ballot,
                     .life = forward.life,
                     .begin = taker.begin,
                     .next = taker.next,
                     .refused = taker.refused.has_value()};
  if (taker.refused) reply.why = *taker.refused;
  out.messages.emplace_back(from, std::move(reply));
}

/// Their members propose them again, to whoever leads next.
void Proposals::drop_others() {
  taking_in_ = {};
  takers_.clear();
  std::erase_if(queue_, [this](const Item& each) {
    if (each.others()) taken_bytes_ -= each.bytes();
    return each.others();
  });
}

}  // namespace hailstone::replica
