// Commands: held until no copy of what they change is left, proposed in the order of their session's numbers, answered.
#include <fmt/format.h>

#include <algorithm>

#include "cell/access.h"
#include "cell/master.h"
#include "cell/transaction.h"

namespace hailstone::cell {
namespace {

/// What a refused proposal means (replica/group.h, propose).
bool is_not_done(Code code) { return code == Code::Unavailable || code == Code::Exhausted || code == Code::Invalid; }

constexpr size_t kUnknownMax = 1000;  // beyond it nothing is kept for the rest of the epoch

}  // namespace

Result<void> Master::take_up(Time now, MemberId from, wire::Relay relay, const View& view, Output& out) {
  auto& asked = std::get<wire::Do>(relay.message);
  const Asker asker{from, relay.connection, asked.call};
  const uint32_t deadline_ms = asked.deadline_ms;
  Command command{.time = {},
                  .principal = std::move(relay.principal),
                  .session = asked.session,
                  .number = asked.number,
                  .got = asked.got,
                  .body = std::move(asked.body)};
  const size_t bytes = command.encoded_bytes();
  if (bytes > kCommandBytesMax) {
    refuse(asker, {Code::Invalid, fmt::format("a command of {} bytes, at most {}", bytes, kCommandBytesMax)},
           Fate::NotDone, out);
    return {};
  }
  if (!has_room(command.principal, bytes)) {
    refuse(asker, {Code::Unavailable, fmt::format("{} commands of {} bytes wait already", held_, held_bytes_)},
           Fate::NotDone, out);
    return {};
  }
  TRY(Session* const session, find_session(now, command.session, view));
  if (session && session->principal != command.principal) {
    refuse(asker, {Code::Denied, fmt::format("session {} is another principal's", command.session.value)},
           Fate::NotDone, out);
    return {};
  }
  Pending pending{.asker = asker, .command = std::move(command), .bytes = bytes};
  const SessionId id = pending.command.session;
  const CommandNumber number = pending.command.number;
  if (session && number >= session->next) {
    if (const auto queued = session->queue.find(number); queued != session->queue.end()) {
      commands_.at(queued->second).asker = asker;
      return {};
    }
    if (session->queue.size() >= options_.held_per_session_max) {
      refuse(asker,
             {Code::Exhausted, fmt::format("session {}: {} commands wait already", id.value, session->queue.size())},
             Fate::NotDone, out);
      return {};
    }
    const Tag tag = hold(std::move(pending));
    session->queue.emplace(number, tag);
    TRY_DO(advance(now, id, view, out));
    arm_deadline(now, tag, deadline_ms);
    return {};
  }
  pending.alone = true;
  if (session) {
    if (const auto flying = session->in_flight.find(number); flying != session->in_flight.end()) {
      commands_.at(flying->second).asker = asker;
      return {};
    }
    // Done already, it is only answered again.
    TRY(const auto record, schema::read_session(view.state, id));
    pending.changes_nothing = record && record->last >= number;
  } else {
    pending.changes_nothing = static_cast<bool>(id);  // the machine will not find the session either
  }
  const Tag tag = hold(std::move(pending));
  TRY_DO(prepare(now, tag, view, out));
  ready_alone_.push_back(tag);
  arm_deadline(now, tag, deadline_ms);
  return {};
}

bool Master::has_room(const Bytes& principal, size_t bytes) const {
  const auto at = held_of_.find(principal);
  const Share share = at == held_of_.end() ? Share() : at->second;
  return held_ + share.commands < options_.held_commands_max &&
         held_bytes_ + share.bytes + bytes <= options_.held_bytes_max;
}

Master::Tag Master::hold(Pending pending) {
  const Tag tag = ++last_tag_;
  ++held_;
  held_bytes_ += pending.bytes;
  Share& share = held_of_[pending.command.principal];
  ++share.commands;
  share.bytes += pending.bytes;
  commands_.emplace(tag, std::move(pending));
  return tag;
}

void Master::not_held_any_more(const Pending& pending) {
  --held_;
  held_bytes_ -= pending.bytes;
  const auto at = held_of_.find(pending.command.principal);
  --at->second.commands;
  at->second.bytes -= pending.bytes;
  if (at->second.commands == 0) held_of_.erase(at);
}

/// Nothing of it is to come any more.
void Master::settled(const Pending& pending) {
  busy_.remove(pending.touched);
  if (pending.changes_rules) --rules_under_way_;
}

/// As the machine would now.
Result<bool> Master::is_refused(const Command& command, const View& view) const {
  TRY(const Counters counters, schema::read_counters(view.state));
  TRY(const auto permissions, Permissions::read(view.state, counters, command.principal));
  if (const auto* txn = std::get_if<Txn>(&command.body)) return !check_transaction(permissions, *txn);
  return std::holds_alternative<SetRules>(command.body) && !permissions.check(Right::Admin, "/");
}

void Master::arm_deadline(Time now, Tag tag, uint32_t deadline_ms) {
  const auto at = commands_.find(tag);
  if (at != commands_.end() && at->second.stage != Pending::Stage::Proposed)
    arm(Timer::What::Deadline, now + ns_of_ms(deadline_ms), tag);
}

/// Has all copies of what it may change dropped, and none given out from now on.
Result<void> Master::prepare(Time now, Tag tag, const View& view, Output& out) {
  Pending& pending = commands_.at(tag);
  pending.stage = Pending::Stage::Prepared;
  pending.refused_by.reset();
  if (pending.changes_nothing) return {};
  Touched& touched = pending.touched;
  if (std::holds_alternative<CloseSession>(pending.command.body)) {
    if (const auto at = sessions_.find(pending.command.session); at != sessions_.end()) {
      at->second.state = Session::State::Closing;
      TRY_DO(add_owned_by(view.state, at->first, touched));
    }
  } else if (const auto* expire = std::get_if<Expire>(&pending.command.body)) {
    if (!pending.asker.member)  // the machine refuses those of others
      for (const SessionId id : expire->sessions) TRY_DO(add_owned_by(view.state, id, touched));
  } else {
    touched = touched_by(pending.command.body);
    // Whoever has no right makes nobody wait. It is the machine that refuses; rules that it may meet there are either
    // those of now, or of a command that was prepared later: then this one is prepared anew before it is proposed.
    if (touched.empty()) return {};
    TRY(const bool refused, is_refused(pending.command, view));
    if (refused && rules_under_way_ == 0) {
      touched = {};
      pending.refused_by = rules_version_;
      return {};
    }
    pending.changes_rules = !refused && std::holds_alternative<SetRules>(pending.command.body);
    rules_version_ += pending.changes_rules;
    rules_under_way_ += pending.changes_rules;
  }
  if (touched.empty()) return {};
  busy_.add(touched);
  Copies::Asked asked = copies_.ask_to_drop(touched, tag);
  pending.waits = options_.mistakes.write_does_not_wait_for_copies ? 0 : asked.waits;
  for (wire::Invalidate& message : asked.fresh) {
    message.epoch = epoch_;
    const Session& holder = sessions_.at(message.session);
    arm(Timer::What::Copies, std::max(holder.cache_end, now), message.session.value);
    if (holder.member) out.messages.push_back({holder.member, wire::Reverse{holder.connection, std::move(message)}});
  }
  pending.gated = !gate_open_;
  if (pending.gated) gated_.push_back(tag);
  return {};
}

/// Proposes what is next in the session's order, and asks ahead for the copies of what comes behind it.
Result<void> Master::advance(Time now, SessionId id, const View& view, Output& out) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return {};
  Session& session = at->second;
  CommandNumber number = session.next;
  bool in_turn = true;
  while (session.state != Session::State::Expiring) {
    const auto queued = session.queue.find(number);
    if (queued == session.queue.end()) break;
    const Tag tag = queued->second;
    Pending& pending = commands_.at(tag);
    const bool close = std::holds_alternative<CloseSession>(pending.command.body);
    // What a closing session owns is known when all before it is done.
    if (close && !(in_turn && session.in_flight.empty())) break;
    if (pending.stage == Pending::Stage::Waiting || is_outdated(pending)) TRY_DO(prepare(now, tag, view, out));
    in_turn &= pending.waits == 0 && !pending.gated;
    if (in_turn) {
      session.queue.erase(queued);
      session.in_flight.emplace(number, tag);
      session.next = number.next();
      propose(now, tag, out);
    }
    if (close) break;
    number = number.next();
  }
  return {};
}

void Master::propose(Time now, Tag tag, Output& out) {
  Pending& pending = commands_.at(tag);
  pending.stage = Pending::Stage::Proposed;
  not_held_any_more(pending);
  pending.command.time = cluster_time(now);
  out.proposals.push_back({tag, pending.command.encode()});
}

void Master::drop_held(Tag tag) {
  const auto at = commands_.find(tag);
  const Pending& pending = at->second;
  not_held_any_more(pending);
  settled(pending);
  if (const auto session = sessions_.find(pending.command.session); session != sessions_.end() && !pending.alone) {
    session->second.queue.erase(pending.command.number);
    if (session->second.state == Session::State::Closing) session->second.state = Session::State::Live;
  }
  commands_.erase(at);
}

void Master::ready(Tag tag) {
  const Pending& pending = commands_.at(tag);
  if (pending.command.session && !pending.alone)
    ready_.insert(pending.command.session);
  else
    ready_alone_.push_back(tag);
}

// ---- outcomes ----

Result<void> Master::outcome(Time now, uint64_t tag, hailstone::Result<Bytes> encoded, const View& view, Output& out) {
  hailstone::Result<Reply> reply = fail(Code::Io, "");
  if (encoded)
    reply = Reply::decode(*encoded);
  else
    reply = std::unexpected(std::move(encoded).error());
  if (const auto former = former_.find(tag); former != former_.end()) {
    const Asker asker = former->second;
    former_.erase(former);
    if (reply)
      send(asker, {{}, *std::move(reply)}, out);
    else if (is_not_done(reply.error().code))
      give_back(asker, out);
    else
      refuse(asker, std::move(reply).error(), Fate::Unknown, out);
    return {};
  }
  const auto at = commands_.find(tag);
  if (at == commands_.end()) return {};
  const Pending pending = std::move(at->second);
  commands_.erase(at);
  if (reply || is_not_done(reply.error().code))
    settled(pending);
  else if (!pending.touched.empty() && ++unknown_ > kUnknownMax)
    keep_nothing_ = true;  // else it stays busy: it may yet be applied
  if (!pending.asker.member)
    TRY_DO(own_outcome(now, tag, pending, reply, view, out));
  else
    TRY_DO(answer(now, pending, std::move(reply), view, out));
  return settle(now, view, out);
}

/// Of a command of a client, of this epoch.
Result<void> Master::answer(Time now, const Pending& pending, hailstone::Result<Reply> reply, const View& view,
                            Output& out) {
  const Command& command = pending.command;
  const bool not_done = !reply && is_not_done(reply.error().code);
  if (const auto at = sessions_.find(command.session); at != sessions_.end() && !pending.alone) {
    Session& session = at->second;
    session.in_flight.erase(command.number);
    ready_.insert(command.session);
    if (not_done) session.next = std::min(session.next, command.number);
    if (std::holds_alternative<CloseSession>(command.body)) {
      if (!reply && !not_done) {  // it ends one way or the other
        session.state = Session::State::Expiring;
        due_.push_back(command.session);
      } else if (session.state == Session::State::Closing) {
        session.state = Session::State::Live;
      }
    }
    if (reply && reply->refused && command.number >= session.next) {
      // One before it was not done, so it came too early.
      refuse(pending.asker, {Code::Unavailable, "a command before this one could not be proposed"}, Fate::NotDone, out);
      return {};
    }
    if (reply && (reply->refused || std::holds_alternative<CloseSession>(command.body))) {
      TRY(const auto record, schema::read_session(view.state, command.session));
      if (!record)
        TRY_DO(ended(now, command.session, view, out));
      else if (session.in_flight.empty())
        session.next = record->last.next();
    }
  }
  if (not_done) {
    refuse(pending.asker, std::move(reply).error(), Fate::NotDone, out);
  } else if (!reply) {
    refuse(pending.asker, std::move(reply).error(), Fate::Unknown, out);
  } else if (const auto* opened = std::get_if<Opened>(&reply->outcome); opened && !opened_now(now, command, *opened)) {
    refuse(pending.asker, {Code::Unavailable, fmt::format("session {} is just ending", opened->session.value)},
           Fate::NotDone, out);
  } else {
    send(pending.asker, {{}, *std::move(reply)}, out);
  }
  return {};
}

}  // namespace hailstone::cell
