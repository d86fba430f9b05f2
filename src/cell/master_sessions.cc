// Sessions: their leases, which the master alone counts, their ends, and the cell's time.
#include <algorithm>

#include "cell/master.h"

namespace hailstone::cell {

int64_t Master::outlasting(uint32_t lease_ms) const {
  return options_.mistakes.master_counts_without_drift ? ns_of_ms(lease_ms) - ns_of_ms(lease_ms) / 25
                                                       : outlasting_ns(lease_ms);
}

/// Nothing when there is no such session.
Result<Master::Session*> Master::find_session(Time now, SessionId id, const View& view) {
  if (!id) return nullptr;
  if (const auto at = sessions_.find(id); at != sessions_.end()) return &at->second;
  TRY(const auto record, schema::read_session(view.state, id));
  if (!record) return nullptr;
  Session& session = adopt(now, id, record->principal, record->lease_ms, record->caching);
  session.next = record->last.next();
  return &session;
}

/// With a full lease from now.
Master::Session& Master::adopt(Time now, SessionId id, Bytes principal, uint32_t lease_ms, bool caching) {
  Session& session = sessions_[id];
  session.principal = std::move(principal);
  session.lease_ms = lease_ms;
  session.caching = caching;
  session.end = now + (options_.mistakes.no_grace_on_take_over ? ns_of_ms(lease_ms / 20) : outlasting(lease_ms));
  arm(Timer::What::Lease, session.end, id.value);
  return session;
}

/// False: it is that session which is just ending.
bool Master::opened_now(Time now, const Command& command, const Opened& opened) {
  const auto at = sessions_.find(opened.session);
  if (at == sessions_.end()) {
    adopt(now, opened.session, command.principal, opened.lease_ms, opened.caching).next = CommandNumber(1);
    return true;
  }
  if (at->second.state != Session::State::Live) return false;
  at->second.end = std::max(at->second.end, now + outlasting(opened.lease_ms));
  return true;
}

Result<void> Master::keep_alive(Time now, MemberId from, const wire::Relay& relay, const View& view, Output& out) {
  const auto& beat = std::get<wire::KeepAlive>(relay.message);
  TRY(Session* const session, find_session(now, beat.session, view));
  wire::Lease lease{beat.session, beat.beat, epoch_, 0, 0};
  if (session && session->principal == relay.principal) {
    // One that ends gets no more time, and its end is told when it has come.
    if (session->state != Session::State::Live) return {};
    session->member = from;
    session->connection = relay.connection;
    session->end = now + outlasting(session->lease_ms);
    lease.lease_ms = session->lease_ms;
    if (beat.seen == epoch_) check_in(beat.session);
    if (session->caching) lease.cache_ms = renew_copies(now, beat.session, *session, out);
  }
  out.messages.push_back({from, wire::Reverse{relay.connection, lease}});
  return {};
}

void Master::lease_timer(Time now, SessionId id) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  if (session.end > now) return arm(Timer::What::Lease, session.end, id.value);
  if (session.state == Session::State::Closing) return arm(Timer::What::Lease, now + ns_of_ms(1000), id.value);
  if (session.state == Session::State::Expiring) return;
  session.state = Session::State::Expiring;
  due_.push_back(id);
}

/// One Expire at a time, of sessions of which nothing is in flight: what they own is known then.
Result<void> Master::expire(Time now, const View& view, Output& out) {
  if (expire_ || expire_blocked_ || due_.empty()) return {};
  Expire command;
  uint64_t holds = 0;
  std::deque<SessionId> later;
  while (!due_.empty()) {
    const SessionId id = due_.front();
    const auto at = sessions_.find(id);
    if (at == sessions_.end()) {
      due_.pop_front();
      continue;
    }
    if (!at->second.in_flight.empty()) {
      later.push_back(id);
      due_.pop_front();
      continue;
    }
    TRY(const auto record, schema::read_session(view.state, id));
    const uint64_t more = record ? record->holds : 0;
    if (!command.sessions.empty() && holds + more > options_.expire_holds_max) break;
    holds += more;
    command.sessions.push_back(id);
    due_.pop_front();
    if (command.sessions.size() == kExpireMax) break;
  }
  due_.insert(due_.end(), later.begin(), later.end());
  if (command.sessions.empty()) return {};
  expire_ = hold({.alone = true, .command = {.body = std::move(command)}});
  TRY_DO(prepare(now, *expire_, view, out));
  ready_alone_.push_back(*expire_);
  return {};
}

/// Of an Expire or a Tick.
Result<void> Master::own_outcome(Time now, Tag tag, const Pending& pending, const hailstone::Result<Reply>& reply,
                                 const View& view, Output& out) {
  const bool done = reply && !reply->refused;
  if (tag != expire_) {
    ticking_ = false;
    if (done) return learn_delay(now, view);
    arm(Timer::What::Delay, now + options_.retry_ns);
    return {};
  }
  expire_.reset();
  const auto& sessions = std::get<Expire>(pending.command.body).sessions;
  if (done) {
    for (const SessionId id : sessions) TRY_DO(ended(now, id, view, out));
    return learn_delay(now, view);
  }
  due_.insert(due_.end(), sessions.begin(), sessions.end());
  expire_blocked_ = true;
  arm(Timer::What::Expire, now + options_.retry_ns);
  return {};
}

/// The machine will find no session for what is queued yet.
Result<void> Master::ended(Time now, SessionId id, const View& view, Output& out) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return {};
  for (const auto& [number, tag] : at->second.queue) {
    Pending& pending = commands_.at(tag);
    pending.alone = true;
    if (pending.stage == Pending::Stage::Waiting) {
      pending.changes_nothing = true;
      TRY_DO(prepare(now, tag, view, out));
    }
    ready_alone_.push_back(tag);
  }
  sessions_.erase(at);
  ready_.erase(id);
  release(copies_.end(id));
  check_in(id);
  return {};
}

/// When a lock-delay ends next.
Result<void> Master::learn_delay(Time now, const View& view) {
  TRY(const Counters counters, schema::read_counters(view.state));
  delay_due_ = counters.next_delay;
  if (!delay_due_) return {};
  const ClusterTime time = cluster_time(now);
  const uint64_t left_us = delay_due_ > time ? delay_due_.value - time.value : 0;
  arm(Timer::What::Delay, now + static_cast<int64_t>(left_us + 1) * 1000);
  return {};
}

void Master::delay_timer(Time now) {
  if (ticking_ || !delay_due_ || cluster_time(now) < delay_due_) return;
  ticking_ = true;
  ready_alone_.push_back(hold({.stage = Pending::Stage::Prepared, .alone = true, .command = {.body = Tick{}}}));
}

}  // namespace hailstone::cell
