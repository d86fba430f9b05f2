#include "cell/sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cell/files.h"
#include "cell/locks.h"

namespace hailstone::cell {
namespace {

std::unexpected<Error> no_session(SessionId session) {
  return fail(Code::NotFound, fmt::format("no session {}: it has expired or was closed", session.value));
}

struct Held {
  SessionId session;
  schema::HoldKey hold;
};

Result<void> collect_holds(const Work& work, SessionId session, std::vector<Held>& out) {
  const auto [begin, end] = schema::holds(session);
  const auto holds = work.state.iterate(begin, end);
  for (; holds->valid(); holds->next()) {
    TRY(auto hold, schema::hold_of(holds->key()));
    out.push_back({session, std::move(hold)});
  }
  return holds->status();
}

/// How many of the replies kept the client says it has.
size_t acknowledged(const SessionRecord& session, CommandNumber got) {
  const CommandNumber first = session.first_kept();
  return got < first ? 0 : std::min<uint64_t>(got.value - first.value + 1, session.replies.size());
}

}  // namespace

Result<Opened> open_session(Work& work, ByteView principal, const OpenSession& open) {
  if (principal.size() > kPrincipalBytesMax)
    return fail(Code::Invalid,
                fmt::format("a principal of {} bytes, at most {}", principal.size(), kPrincipalBytesMax));
  TRY(const auto known, work.state.get(schema::nonce(open.nonce)));
  if (known) {
    Decoder in(*known);
    const SessionId id(in.varint());
    TRY(const auto session, schema::read_session(work.state, id));
    if (!in.done() || !session) return fail(Code::Corrupt, fmt::format("nonce of session {}: malformed", id.value));
    if (session->principal != principal)
      return fail(Code::Denied, fmt::format("session {} is another principal's", id.value));
    return Opened{id, session->lease_ms, session->caching};
  }
  const Settings& limits = work.settings;
  if (work.counters.sessions >= limits.sessions_max)
    return fail(Code::Exhausted, fmt::format("{} sessions, at most {} (setting sessions_max)", work.counters.sessions,
                                             limits.sessions_max));
  ++work.counters.sessions;
  const SessionId id = work.counters.last_session = work.counters.last_session.next();
  SessionRecord session;
  session.nonce = open.nonce;
  session.principal = principal;
  session.lease_ms = std::clamp(open.lease_ms, limits.lease_ms_min, limits.lease_ms_max);
  session.caching = open.caching;
  session.opened = work.now();
  work.put(schema::session(id), session);
  if (session.caching) work.state.put(schema::caching(id), {});
  Bytes bytes;
  Encoder(bytes).varint(id.value);
  work.state.put(schema::nonce(open.nonce), std::move(bytes));
  return Opened{id, session.lease_ms, session.caching};
}

Result<uint64_t> end_sessions(Work& work, std::span<const SessionId> sessions, Event::Kind kind) {
  std::set<SessionId> ending;
  std::vector<Held> held;
  for (const SessionId id : sessions) {
    TRY(const auto session, schema::read_session(work.state, id));
    if (!session || !ending.insert(id).second) continue;
    if (session->holds > 0) TRY_DO(collect_holds(work, id, held));
    work.state.erase(schema::session(id));
    work.state.erase(schema::nonce(session->nonce));
    if (session->caching) work.state.erase(schema::caching(id));
    CommandNumber number = session->first_kept();
    for (const auto& reply : session->replies) {
      if (reply.inlined.empty()) work.state.erase(schema::reply(id, number));
      number = number.next();
    }
    --work.counters.sessions;
  }
  // Files first, then places in queues, then locks: none is granted to a session that ends here too.
  for (const Held& h : held)
    if (h.hold.kind == Hold::Ephemeral) TRY_DO(delete_file(work, h.hold.path));
  for (const Held& h : held) {
    work.state.erase(schema::hold(h.session, h.hold.kind, h.hold.path));
    if (h.hold.kind != Hold::Wait) continue;
    TRY(LockRecord lock, schema::read_lock(work.state, h.hold.path));
    std::erase_if(lock.waiters, [&](const auto& waiter) { return waiter.session == h.session; });
    work.put(schema::lock(h.hold.path), lock);
  }
  for (const Held& h : held)
    if (h.hold.kind == Hold::Lock) TRY_DO(drop_lock(work, h.session, h.hold.path, kind));
  for (const Held& h : held)
    if (h.hold.kind == Hold::Wait) TRY_DO(grant_waiters(work, h.hold.path));
  return ending.size();
}

Result<void> add_hold(Work& work, SessionId id, Hold kind, ByteView path) {
  TRY(auto session, schema::read_session(work.state, id));
  if (!session) return no_session(id);
  if (session->holds >= work.settings.holds_max)
    return fail(Code::Exhausted,
                fmt::format("session {} has {} files, locks and places in queues, at most {} (setting holds_max)",
                            id.value, session->holds, work.settings.holds_max));
  ++session->holds;
  work.put(schema::session(id), *session);
  work.state.put(schema::hold(id, kind, path), {});
  return {};
}

Result<void> drop_hold(Work& work, SessionId id, Hold kind, ByteView path) {
  work.state.erase(schema::hold(id, kind, path));
  TRY(auto session, schema::read_session(work.state, id));
  if (!session) return {};  // it is ending
  if (session->holds == 0) return fail(Code::Corrupt, fmt::format("session {} holds nothing", id.value));
  --session->holds;
  work.put(schema::session(id), *session);
  return {};
}

Result<std::optional<Bytes>> stored_reply(Work& work, const Command& command) {
  TRY(work.session, schema::read_session(work.state, command.session));
  const auto& session = work.session;
  if (!session) return no_session(command.session);
  if (session->principal != command.principal)
    return fail(Code::Denied, fmt::format("session {} is another principal's", command.session.value));
  if (command.number > session->last) {
    if (command.number != session->last.next())
      return fail(Code::Conflict, fmt::format("session {}: command {} after {}: some are missing",
                                              command.session.value, command.number.value, session->last.value));
    const std::span kept = std::span(session->replies).subspan(acknowledged(*session, command.got));
    uint64_t bytes = 0;
    for (const auto& reply : kept) bytes += reply.bytes;
    if (kept.size() >= kRepliesMax || bytes >= kRepliesBytesMax)
      return fail(Code::Exhausted,
                  fmt::format("session {}: {} replies of {} bytes are not acknowledged, at most {} of {}",
                              command.session.value, kept.size(), bytes, kRepliesMax, kRepliesBytesMax));
    return std::nullopt;
  }
  if (command.number < session->first_kept())
    return fail(Code::Conflict, fmt::format("session {}: the reply of command {} is no longer kept, the oldest is {}",
                                            command.session.value, command.number.value, session->first_kept().value));
  if (const Bytes& inlined = session->replies[command.number.value - session->first_kept().value].inlined;
      !inlined.empty())
    return inlined;
  TRY(auto reply, work.state.get(schema::reply(command.session, command.number)));
  if (!reply)
    return fail(Code::Corrupt,
                fmt::format("session {}: reply {} is not there", command.session.value, command.number.value));
  return reply;
}

Result<void> store_reply(Work& work, const Command& command, Bytes reply) {
  Bytes key = schema::session(command.session);
  auto session = std::exchange(work.session, std::nullopt);
  if (work.state.changes().contains(key)) {
    TRY(session, schema::read_session(work.state, command.session));
  }
  if (!session) return {};
  auto& kept = session->replies;
  const size_t drop = acknowledged(*session, command.got);
  for (size_t i = 0; i < drop; ++i)
    if (kept[i].inlined.empty())
      work.state.erase(schema::reply(command.session, CommandNumber(session->first_kept().value + i)));
  kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(drop));
  session->last = command.number;
  size_t inlined = reply.size();
  for (const auto& each : kept) inlined += each.inlined.size();
  kept.push_back({.bytes = static_cast<uint32_t>(reply.size()), .inlined = {}});
  if (reply.size() <= kInlineReplyBytes && inlined <= kInlineRepliesBytes)
    kept.back().inlined = std::move(reply);
  else
    work.state.put(schema::reply(command.session, command.number), std::move(reply));
  work.put(std::move(key), *session);
  return {};
}

}  // namespace hailstone::cell
