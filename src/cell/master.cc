#include "cell/master.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::cell {
namespace {

constexpr size_t kTimersKept = 4096;  // however few sessions and commands there are

}  // namespace

// ---- leadership ----

Result<void> Master::lead(Time now, wire::Epoch epoch, int64_t wall_us, const View& view, Output& out) {
  follow(out);
  TRY(const Counters counters, schema::read_counters(view.state));
  TRY(const auto caching, caching_sessions(view.state));
  epoch_ = epoch;
  base_at_ = now;
  // The wall clock may have been stepped: it is followed only where no delay runs that it could end early.
  const ClusterTime wall(static_cast<uint64_t>(std::max<int64_t>(wall_us, 0)));
  base_ = counters.next_delay ? counters.time : std::max(counters.time, wall);
  for (SessionId after;;) {
    TRY(const auto page, list_sessions(view.state, after, 1000));
    for (const auto& [id, record] : page)
      adopt(now, id, record.principal, record.lease_ms, record.caching).next = record.last.next();
    if (page.empty()) break;
    after = page.back().id;
  }
  unchecked_.insert(caching.begin(), caching.end());
  gate_open_ = unchecked_.empty() || options_.mistakes.no_check_in_on_take_over;
  if (!gate_open_) arm(Timer::What::Gate, now + outlasting(kCacheLeaseMs));
  TRY_DO(learn_delay(now, view));
  return settle(now, view, out);
}

void Master::follow(Output& out) {
  if (!leads()) return;
  for (const auto& [tag, pending] : commands_) {
    if (pending.stage == Pending::Stage::Proposed)
      former_.emplace(tag, pending.asker);
    else
      give_back(pending.asker, out);
  }
  for (const Waiting& waiting : waiting_)
    if (const auto* fetch = std::get_if<wire::Fetch>(&waiting.relay.message))
      give_back({waiting.from, waiting.relay.connection, fetch->call}, out);
  Master fresh(options_);
  fresh.last_tag_ = last_tag_;
  fresh.former_ = std::move(former_);
  *this = std::move(fresh);
}

ClusterTime Master::cluster_time(Time now) const {
  return ClusterTime(base_.value + static_cast<uint64_t>(std::max<int64_t>(now - base_at_, 0)) / 1000);
}

// ---- input ----

Result<void> Master::receive(Time now, MemberId from, wire::PeerMessage message, const View& view, Output& out) {
  auto* relay = std::get_if<wire::Relay>(&message);
  if (!relay || relay->principal.empty()) return {};
  const auto* fetch = std::get_if<wire::Fetch>(&relay->message);
  const auto* command = std::get_if<wire::Do>(&relay->message);
  const bool call = fetch || command;
  const Asker asker{from, relay->connection, fetch ? fetch->call : command ? command->call : wire::CallId()};
  if (!leads()) {
    if (call) give_back(asker, out);
    return {};
  }
  const auto* beat = std::get_if<wire::KeepAlive>(&relay->message);
  if (command) {
    TRY_DO(take_up(now, from, std::move(*relay), view, out));
  } else if (const auto* gone = std::get_if<wire::Dropped>(&relay->message)) {
    dropped(*relay, *gone);
  } else if (fetch || beat) {
    if (beat && options_.mistakes.renews_without_the_leaders_lease)
      TRY_DO(keep_alive(now, from, *relay, view, out));
    else if (waiting_.size() < options_.waiting_max)
      waiting_.push_back({from, std::move(*relay)});
    else if (call)
      give_back(asker, out);
  }
  return settle(now, view, out);
}

Result<void> Master::tick(Time now, const View& view, Output& out) {
  if (!leads()) return {};
  return settle(now, view, out);
}

/// Whatever can go on does.
Result<void> Master::settle(Time now, const View& view, Output& out) {
  while (view.may_read && !waiting_.empty()) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (std::holds_alternative<wire::Fetch>(next.relay.message))
      TRY_DO(fetch(now, next.from, next.relay, view, out));
    else
      TRY_DO(keep_alive(now, next.from, next.relay, view, out));
  }
  out.read_wanted |= !waiting_.empty();
  run_timers(now, out);
  TRY_DO(expire(now, view, out));
  while (!ready_.empty() || !ready_alone_.empty()) {
    if (!ready_.empty()) {
      const SessionId id = *ready_.begin();
      ready_.erase(ready_.begin());
      TRY_DO(advance(now, id, view, out));
      continue;
    }
    const Tag tag = ready_alone_.back();
    ready_alone_.pop_back();
    const auto at = commands_.find(tag);
    if (at == commands_.end() || at->second.stage == Pending::Stage::Proposed) continue;
    if (is_outdated(at->second)) TRY_DO(prepare(now, tag, view, out));
    if (at->second.waits == 0 && !at->second.gated) propose(now, tag, out);
  }
  return {};
}

/// A deadline may be long after its command was proposed: without a look now and then they would add up.
void Master::arm(Timer::What what, Time at, uint64_t id) {
  timers_.push({what, at, id});
  if (timers_.size() <= std::max(timers_max_, kTimersKept)) return;
  std::vector<Timer> left;
  for (; !timers_.empty(); timers_.pop()) {
    const Timer& timer = timers_.top();
    const auto at_command = timer.what == Timer::What::Deadline ? commands_.find(timer.id) : commands_.end();
    if (timer.what == Timer::What::Deadline &&
        (at_command == commands_.end() || at_command->second.stage == Pending::Stage::Proposed))
      continue;
    left.push_back(timer);
  }
  timers_max_ = 2 * left.size();
  timers_ = decltype(timers_)(std::greater<>(), std::move(left));
}

void Master::run_timers(Time now, Output& out) {
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    switch (timer.what) {
      case Timer::What::Lease: lease_timer(now, SessionId(timer.id)); break;
      case Timer::What::Copies: copies_timer(now, SessionId(timer.id)); break;
      case Timer::What::Gate: open_gate(); break;
      case Timer::What::Delay: delay_timer(now); break;
      case Timer::What::Expire: expire_blocked_ = false; break;
      case Timer::What::Deadline: {
        const auto at = commands_.find(timer.id);
        if (at == commands_.end() || at->second.stage == Pending::Stage::Proposed) break;
        refuse(at->second.asker, {Code::Timeout, "the deadline has come before the command could be proposed"},
               Fate::NotDone, out);
        drop_held(timer.id);
      }
    }
  }
}

// ---- answers ----

void Master::send(const Asker& asker, wire::Result result, Output& out) {
  if (!asker.member) return;
  result.call = asker.call;
  out.messages.push_back({asker.member, wire::Reverse{asker.connection, std::move(result)}});
}

void Master::refuse(const Asker& asker, Error error, Fate fate, Output& out) {
  send(asker, {{}, wire::Result::Refused{std::move(error), fate}}, out);
}

void Master::give_back(const Asker& asker, Output& out) {
  if (asker.member) out.messages.push_back({asker.member, wire::NotMaster{asker.connection, asker.call}});
}

// ---- what it is about ----

Master::Figures Master::figures() const {
  return {.sessions = sessions_.size(),
          .held_commands = held_,
          .in_flight = commands_.size() - held_,
          .copies = copies_.size(),
          .timers = timers_.size(),
          .held_bytes = held_bytes_,
          .taking_over = !gate_open_};
}

std::string Master::broken_invariant() const {
  if (!copies_.consistent()) return "copies are not noted alike on both sides";
  size_t held = 0;
  uint64_t bytes = 0;
  std::unordered_map<Bytes, Share> held_of;
  for (const auto& [tag, pending] : commands_) {
    if (pending.stage == Pending::Stage::Proposed) continue;
    ++held;
    bytes += pending.bytes;
    ++held_of[pending.command.principal].commands;
    held_of[pending.command.principal].bytes += pending.bytes;
    if (pending.gated && gate_open_) return fmt::format("command {} waits for a take-over that is over", tag);
    if (pending.alone || !pending.command.session) continue;
    const auto session = sessions_.find(pending.command.session);
    if (session == sessions_.end() || !session->second.queue.contains(pending.command.number))
      return fmt::format("command {} is in no queue", tag);
  }
  if (held != held_ || bytes != held_bytes_)
    return fmt::format("{} held commands of {} bytes, counted {} of {}", held, bytes, held_, held_bytes_);
  if (held_of != held_of_) return "what principals hold is counted wrongly";
  for (const auto& [id, session] : sessions_) {
    for (const auto& [number, tag] : session.queue)
      if (!commands_.contains(tag)) return fmt::format("session {}: command {} is gone", id.value, number.value);
    for (const auto& [number, tag] : session.in_flight)
      if (!commands_.contains(tag)) return fmt::format("session {}: command {} is lost", id.value, number.value);
  }
  if (!gate_open_ && unchecked_.empty()) return "the take-over waits for nobody";
  return {};
}

}  // namespace hailstone::cell
