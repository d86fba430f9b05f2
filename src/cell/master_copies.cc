// Copies that clients keep: given out with a read, called back before a change, and waited out on taking over.
#include "cell/access.h"
#include "cell/master.h"

namespace hailstone::cell {

Result<void> Master::fetch(Time now, MemberId from, const wire::Relay& relay, const View& view, Output& out) {
  const auto& fetch = std::get<wire::Fetch>(relay.message);
  const Asker asker{from, relay.connection, fetch.call};
  TRY(const Counters counters, schema::read_counters(view.state));
  TRY(const auto permissions, Permissions::read(view.state, counters, relay.principal));
  auto may = validate_path(fetch.path);
  if (may) may = permissions.check(Right::Read, fetch.path);
  if (!may) {
    refuse(asker, std::move(may).error(), Fate::NotDone, out);
    return {};
  }
  TRY(Session* const session, find_session(now, fetch.session, view));
  // Registered before the state is read: a change comes either before the reading or after the registration.
  bool keep = session && session->principal == relay.principal && may_keep(now, *session, fetch.path);
  keep = keep && copies_.add(fetch.session, fetch.path);
  TRY(auto file, read_file(view.state, fetch.path));
  if (file && file->stat.owner) {
    const auto owner = sessions_.find(file->stat.owner);
    keep = keep && (owner == sessions_.end() || owner->second.state == Session::State::Live);
  }
  if (keep) session->member = from, session->connection = relay.connection;
  send(asker,
       {{},
        wire::Result::Fetched{.revision = counters.revision,
                              .file = std::move(file),
                              .epoch = epoch_,
                              .sequence = copies_.sequence(fetch.session),
                              .keep = keep}},
       out);
  return {};
}

bool Master::may_keep(Time now, const Session& session, ByteView path) const {
  if (!session.caching || session.state != Session::State::Live || session.cache_end <= now || keep_nothing_)
    return false;
  return options_.mistakes.fetch_ignores_commands_in_flight || !busy_.covers(path);
}

/// How long the session's copies may be used, counted from its keep-alive.
uint32_t Master::renew_copies(Time now, SessionId id, Session& session, Output& out) {
  // While it has something to drop its time is not prolonged: no writer waits longer than one lease.
  if (!copies_.answered_all(id)) {
    for (wire::Invalidate& message : copies_.unanswered(id)) {
      message.epoch = epoch_;
      out.messages.push_back({session.member, wire::Reverse{session.connection, std::move(message)}});
    }
    return 0;
  }
  if (session.cache_end <= now) release(copies_.forget(id));
  const uint32_t cache_ms = std::min(session.lease_ms, kCacheLeaseMs);
  session.cache_end = now + outlasting(cache_ms);
  return cache_ms;
}

void Master::copies_timer(Time now, SessionId id) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end() || copies_.answered_all(id)) return;
  if (at->second.cache_end > now) return arm(Timer::What::Copies, at->second.cache_end, id.value);
  release(copies_.forget(id));
}

void Master::dropped(const wire::Relay& relay, const wire::Dropped& dropped) {
  const auto at = sessions_.find(dropped.session);
  if (at == sessions_.end() || at->second.principal != relay.principal || dropped.epoch != epoch_) return;
  if (dropped.sequence > copies_.sequence(dropped.session)) return;  // none such was sent
  release(copies_.dropped(dropped.session, dropped.sequence));
}

void Master::release(const std::vector<Tag>& commands) {
  for (const Tag tag : commands) {
    const auto at = commands_.find(tag);
    if (at == commands_.end() || at->second.waits == 0) continue;
    if (--at->second.waits == 0) ready(tag);
  }
}

/// What it keeps, if anything, is of this epoch.
void Master::check_in(SessionId id) {
  if (unchecked_.erase(id) > 0 && unchecked_.empty()) open_gate();
}

void Master::open_gate() {
  gate_open_ = true;
  unchecked_.clear();
  for (const Tag tag : std::exchange(gated_, {})) {
    const auto at = commands_.find(tag);
    if (at == commands_.end()) continue;
    at->second.gated = false;
    ready(tag);
  }
}

}  // namespace hailstone::cell
