#include "cell/locks.h"

#include <fmt/format.h>

#include <algorithm>

#include "cell/files.h"
#include "cell/sessions.h"

namespace hailstone::cell {
namespace {

std::string_view name_of(LockMode mode) { return mode == LockMode::Shared ? "shared" : "exclusive"; }

/// Whether one more holder in this mode may stand beside those there are.
bool admits(const LockRecord& lock, LockMode mode) {
  if (lock.delayed_until) return false;
  if (lock.holders.empty()) return true;
  return mode == LockMode::Shared && lock.mode == LockMode::Shared && lock.holders.size() < kHoldersMax;
}

Result<LockGeneration> grant(Work& work, ByteView path, LockRecord& lock, const LockRecord::Waiter& to) {
  const LockGeneration generation = work.counters.last_grant = work.counters.last_grant.next();
  lock.mode = to.mode;
  lock.holders.push_back({.session = to.session, .generation = generation, .delay_ms = to.delay_ms});
  TRY_DO(note_grant(work, path, generation));
  work.events.push_back({.kind = Event::Kind::LockAcquired,
                         .path = Bytes(path),
                         .session = to.session,
                         .lock_generation = generation,
                         .mode = to.mode});
  return generation;
}

/// Grants to the queue's head as long as that can be, then writes the record.
Result<void> settle(Work& work, ByteView path, LockRecord& lock) {
  size_t granted = 0;
  for (; granted < lock.waiters.size() && admits(lock, lock.waiters[granted].mode); ++granted) {
    const auto waiter = lock.waiters[granted];
    // The same hold of the session, of another kind.
    work.state.erase(schema::hold(waiter.session, Hold::Wait, path));
    work.state.put(schema::hold(waiter.session, Hold::Lock, path), {});
    TRY_DO(grant(work, path, lock, waiter));
  }
  lock.waiters.erase(lock.waiters.begin(), lock.waiters.begin() + static_cast<std::ptrdiff_t>(granted));
  if (lock.idle())
    work.state.erase(schema::lock(path));
  else
    work.put(schema::lock(path), lock);
  return {};
}

template <class Party>
auto of_session(std::vector<Party>& parties, SessionId session) {
  return std::ranges::find(parties, session, &Party::session);
}

void delay(Work& work, ByteView path, LockRecord& lock, ClusterTime until) {
  if (until <= lock.delayed_until) return;
  if (lock.delayed_until) work.state.erase(schema::delay(lock.delayed_until, path));
  lock.delayed_until = until;
  work.state.put(schema::delay(until, path), {});
  auto& next = work.counters.next_delay;
  // It may name a delay that was just prolonged: then it is early, and end_delays() finds the right one.
  if (!next || until < next) next = until;
}

}  // namespace

Result<LockReply> take_lock(Work& work, SessionId session, const Lock& request) {
  if (request.delay_ms > kLockDelayMsMax)
    return fail(Code::Invalid, fmt::format("a lock-delay of {} ms, at most {}", request.delay_ms, kLockDelayMsMax));
  TRY(LockRecord lock, schema::read_lock(work.state, request.path));
  if (const auto held = of_session(lock.holders, session); held != lock.holders.end()) {
    if (lock.mode == request.mode) return LockReply{LockReply::Outcome::Granted, held->generation};
    return fail(Code::Conflict, fmt::format("session {} holds '{}' {}: unlock it first", session.value,
                                            printable(request.path), name_of(lock.mode)));
  }
  if (const auto waits = of_session(lock.waiters, session); waits != lock.waiters.end()) {
    if (waits->mode == request.mode && request.wait == Lock::Wait::Queue)
      return LockReply{LockReply::Outcome::Queued, {}};
    return fail(Code::Conflict, fmt::format("session {} waits for '{}' {}: cancel that first", session.value,
                                            printable(request.path), name_of(waits->mode)));
  }
  const LockRecord::Waiter waiter{.session = session, .mode = request.mode, .delay_ms = request.delay_ms};
  // Nobody overtakes those who wait already, or shared holders would keep an exclusive waiter out for ever.
  if (lock.waiters.empty() && admits(lock, request.mode)) {
    TRY_DO(add_hold(work, session, Hold::Lock, request.path));
    TRY(const auto generation, grant(work, request.path, lock, waiter));
    work.put(schema::lock(request.path), lock);
    return LockReply{LockReply::Outcome::Granted, generation};
  }
  if (request.wait == Lock::Wait::Try) return LockReply{LockReply::Outcome::Busy, {}};
  if (lock.waiters.size() >= work.settings.waiters_max)
    return fail(Code::Exhausted, fmt::format("{} wait for '{}', at most {} (setting waiters_max)", lock.waiters.size(),
                                             printable(request.path), work.settings.waiters_max));
  TRY_DO(add_hold(work, session, Hold::Wait, request.path));
  lock.waiters.push_back(waiter);
  work.put(schema::lock(request.path), lock);
  return LockReply{LockReply::Outcome::Queued, {}};
}

Result<void> unlock(Work& work, SessionId session, ByteView path) {
  TRY(LockRecord lock, schema::read_lock(work.state, path));
  if (of_session(lock.holders, session) == lock.holders.end())
    return fail(Code::NotFound, fmt::format("session {} does not hold '{}'", session.value, printable(path)));
  TRY_DO(drop_hold(work, session, Hold::Lock, path));
  return drop_lock(work, session, path, Event::Kind::LockReleased);
}

Result<LockReply> cancel_wait(Work& work, SessionId session, ByteView path) {
  TRY(LockRecord lock, schema::read_lock(work.state, path));
  if (const auto held = of_session(lock.holders, session); held != lock.holders.end())
    return LockReply{LockReply::Outcome::Granted, held->generation};
  const auto waits = of_session(lock.waiters, session);
  if (waits == lock.waiters.end())
    return fail(Code::NotFound, fmt::format("session {} does not wait for '{}'", session.value, printable(path)));
  TRY_DO(drop_hold(work, session, Hold::Wait, path));
  lock.waiters.erase(waits);
  TRY_DO(settle(work, path, lock));
  return LockReply{LockReply::Outcome::Cancelled, {}};
}

Result<void> drop_lock(Work& work, SessionId session, ByteView path, Event::Kind kind) {
  TRY(LockRecord lock, schema::read_lock(work.state, path));
  const auto held = of_session(lock.holders, session);
  if (held == lock.holders.end())
    return fail(Code::Corrupt, fmt::format("lock '{}' has no holder {}", printable(path), session.value));
  work.events.push_back(
      {.kind = kind, .path = Bytes(path), .session = session, .lock_generation = held->generation, .mode = lock.mode});
  if (kind == Event::Kind::LockLost && held->delay_ms > 0)
    delay(work, path, lock, ClusterTime(work.now().value + uint64_t{held->delay_ms} * 1000));
  lock.holders.erase(held);
  return settle(work, path, lock);
}

Result<void> grant_waiters(Work& work, ByteView path) {
  TRY(LockRecord lock, schema::read_lock(work.state, path));
  return settle(work, path, lock);
}

Result<void> end_delays(Work& work) {
  ClusterTime& next = work.counters.next_delay;
  if (!next || work.now() < next) return {};
  std::vector<Bytes> ended;
  next = {};
  const auto [begin, end] = schema::table('T');
  const auto delays = work.state.iterate(begin, end);
  for (; delays->valid(); delays->next()) {
    if (const ClusterTime until = schema::time_of_delay(delays->key()); until > work.now()) {
      next = until;
      break;
    }
    ended.emplace_back(delays->key());
  }
  TRY_DO(delays->status());
  for (Bytes& key : ended) {
    const Bytes path = schema::path_of_delay(key);
    work.state.erase(std::move(key));
    TRY(LockRecord lock, schema::read_lock(work.state, path));
    lock.delayed_until = {};
    TRY_DO(settle(work, path, lock));
  }
  return {};
}

}  // namespace hailstone::cell
