#include "cell/front.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::cell {

Result<void> Front::start(Time now, const replica::Reader& state) {
  TRY(const Counters counters, schema::read_counters(state));
  watches_.begin(counters.revision);
  upkeep_at_ = now + options_.upkeep_ns;
  return {};
}

void Front::stop(Output& out) {
  out_ = &out;
  stopped_ = true;
  while (!connections_.empty())
    cut_off(connections_.begin()->first, {Code::Unavailable, fmt::format("member {} stops", options_.member.value)});
}

// ---- connections ----

void Front::connected(Time now, wire::ConnectionId id, Bytes principal) {
  if (stopped_) return;
  ++usage_[principal].connections;
  Connection& connection = connections_[id];
  connection.principal = std::move(principal);
  connection.wrote = now;
}

void Front::closed(wire::ConnectionId id) {
  if (const auto at = connections_.find(id); at != connections_.end()) forget(at);
}

void Front::forget(Connections::iterator at) {
  const Connection& connection = at->second;
  watches_.remove_all(at->first);
  const auto usage = usage_.find(connection.principal);
  --usage->second.connections;
  usage->second.calls -= connection.calls.size();
  usage->second.call_bytes -= connection.call_bytes;
  usage->second.watches -= connection.watches;
  if (usage->second == Usage()) usage_.erase(usage);
  connections_.erase(at);
}

void Front::send(wire::ConnectionId id, const wire::MemberMessage& message) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  Bytes bytes = wire::encode(message);
  at->second.unwritten += bytes.size();
  out_->clients.push_back({id, std::move(bytes)});
  if (at->second.unwritten > options_.unwritten_max) hopeless_.push_back(id);
}

void Front::cut_off(wire::ConnectionId id, Error error) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  out_->clients.push_back(
      {id, wire::encode(wire::MemberMessage(wire::Goodbye{std::move(error)})), Output::ToClient::Then::Close});
  forget(at);
}

void Front::malformed(wire::ConnectionId id, Error error, Output& out) {
  out_ = &out;
  cut_off(id, std::move(error));
}

Result<void> Front::receive(Time now, wire::ConnectionId id, wire::ClientMessage message, const replica::Reader& state,
                            Output& out) {
  out_ = &out;
  TRY_DO(take(now, id, std::move(message), state));
  step(now);
  return {};
}

Result<void> Front::take(Time now, wire::ConnectionId id, wire::ClientMessage message, const replica::Reader& state) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) {
    if (stopped_)
      out_->clients.push_back({id,
                               wire::encode(wire::MemberMessage(wire::Goodbye{
                                   {Code::Unavailable, fmt::format("member {} stops", options_.member.value)}})),
                               Output::ToClient::Then::Close});
    return {};
  }
  Connection& connection = at->second;
  const auto* hello = std::get_if<wire::Hello>(&message);
  if (!connection.greeted != (hello != nullptr)) {
    cut_off(id, {Code::Invalid, hello ? "a second Hello" : "the first message is no Hello"});
  } else if (hello) {
    greet(id, *hello);
  } else if (const auto* beat = std::get_if<wire::KeepAlive>(&message)) {
    connection.beat = *beat;
    if (leader_) out_->members.push_back({leader_, wire::Relay{id, connection.principal, *beat}});
  } else if (const auto* dropped = std::get_if<wire::Dropped>(&message)) {
    if (leader_) out_->members.push_back({leader_, wire::Relay{id, connection.principal, *dropped}});
  } else if (const auto* watch = std::get_if<wire::Watch>(&message)) {
    return add_watch(id, *watch, state);
  } else if (const auto* unwatch = std::get_if<wire::Unwatch>(&message)) {
    if (watches_.remove(id, unwatch->watch)) {
      --connection.watches;
      --usage_.at(connection.principal).watches;
    }
  } else {
    return take_call(now, id, std::move(message), state);
  }
  return {};
}

void Front::greet(wire::ConnectionId id, const wire::Hello& hello) {
  Connection& connection = connections_.at(id);
  const uint16_t version = std::min(hello.version_max, wire::kVersionMax);
  if (connection.principal.empty()) return cut_off(id, {Code::Denied, "the client is nobody: it has no principal"});
  if (version < std::max(hello.version_min, wire::kVersionMin))
    return cut_off(
        id, {Code::Unsupported, fmt::format("versions {} to {} are not spoken here, but {} to {}", hello.version_min,
                                            hello.version_max, wire::kVersionMin, wire::kVersionMax)});
  if (usage_.at(connection.principal).connections > options_.principal_connections_max)
    return cut_off(id,
                   {Code::Exhausted,
                    fmt::format("'{}' has {} connections, at most {}", printable(connection.principal),
                                usage_.at(connection.principal).connections - 1, options_.principal_connections_max)});
  connection.greeted = true;
  send(id, wire::Welcome{version, options_.member.value, options_.cell, connection.principal});
}

void Front::written(Time now, wire::ConnectionId id, size_t bytes, Output& out) {
  out_ = &out;
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  Connection& connection = at->second;
  connection.unwritten -= std::min<uint64_t>(connection.unwritten, bytes);
  connection.wrote = now;
  if (connection.blocked && connection.unwritten <= options_.events_unwritten_max / 2) {
    connection.blocked = false;
    watches_.has_room_again(id);
    may_catch_up_ = true;
  }
  step(now);
}

// ---- watches ----

bool Front::has_room(wire::ConnectionId id) const {
  const auto at = connections_.find(id);
  return at != connections_.end() && !at->second.blocked;
}

void Front::deliver(wire::ConnectionId id, wire::Events events) {
  send(id, std::move(events));
  const auto at = connections_.find(id);
  if (at != connections_.end() && at->second.unwritten > options_.events_unwritten_max) at->second.blocked = true;
}

/// `may`: whether it may, which is not whether it could be found out.
Result<void> Front::may_watch(const replica::Reader& state, const Permissions& permissions, const Bytes& principal,
                              ByteView prefix, SessionId about, Result<void>& may) const {
  may = permissions.check(Right::Read, prefix);
  if (may || !about || !permissions.check(Right::Lock, prefix)) return {};
  // Who may lock here may see what becomes of its own locks.
  TRY(const auto session, schema::read_session(state, about));
  if (session && session->principal == principal) may = {};
  return {};
}

Result<void> Front::add_watch(wire::ConnectionId id, const wire::Watch& watch, const replica::Reader& state) {
  Connection& connection = connections_.at(id);
  if (watch.watch <= connection.last_watch) {
    cut_off(id,
            {Code::Invalid, fmt::format("watch {} after watch {}", watch.watch.value, connection.last_watch.value)});
    return {};
  }
  connection.last_watch = watch.watch;
  Usage& usage = usage_.at(connection.principal);
  Result<void> may = validate_path(watch.prefix);
  if (may && connection.watches >= options_.watches_max)
    may = fail(Code::Exhausted,
               fmt::format("{} watches on this connection, at most {}", connection.watches, options_.watches_max));
  if (may && usage.watches >= options_.principal_watches_max)
    may = fail(Code::Exhausted, fmt::format("'{}' has {} watches, at most {}", printable(connection.principal),
                                            usage.watches, options_.principal_watches_max));
  TRY(const Counters counters, schema::read_counters(state));
  if (may) {
    TRY(const auto permissions, Permissions::read(state, counters, connection.principal));
    TRY_DO(may_watch(state, permissions, connection.principal, watch.prefix, watch.about, may));
  }
  if (!may) {
    send(id, wire::WatchRefused{watch.watch, std::move(may).error()});
    return {};
  }
  if (watches_.size() == 0) watches_.begin(counters.revision);  // nobody was told of what came since
  ++connection.watches;
  ++usage.watches;
  watches_.add(watch, id, watch.after.value_or(counters.revision), *this);
  may_catch_up_ = true;
  return {};
}

/// Ends the watches of those who may not read any more.
Result<void> Front::check_watches(const replica::Reader& state) {
  TRY(const Counters counters, schema::read_counters(state));
  std::map<Bytes, Permissions> permissions;
  Result<void> failed;
  watches_.remove_if([&](const Watches::Watch& watch) {
    Connection& connection = connections_.at(watch.connection);
    auto at = permissions.find(connection.principal);
    if (at == permissions.end()) {
      auto read = Permissions::read(state, counters, connection.principal);
      if (!read) {
        failed = std::unexpected(std::move(read).error());
        return false;
      }
      at = permissions.emplace(connection.principal, *std::move(read)).first;
    }
    Result<void> may;
    if (auto known = may_watch(state, at->second, connection.principal, watch.prefix, watch.about, may); !known) {
      failed = std::move(known);
      return false;
    }
    if (may) return false;
    --connection.watches;
    --usage_.at(connection.principal).watches;
    send(watch.connection, wire::WatchRefused{watch.id, std::move(may).error()});
    return true;
  });
  return failed;
}

/// In bounded pieces: what is left is for the next tick.
Result<void> Front::tell_events(const replica::Reader& state) {
  size_t pieces = options_.pieces_per_tick;
  while (more_events_ && pieces > 0) {
    TRY(const bool more,
        watches_.distribute(state, options_.events_per_piece, *this, [&] { return check_watches(state); }));
    more_events_ = more;
    may_catch_up_ = true;
    --pieces;
  }
  while (may_catch_up_ && pieces > 0) {
    TRY(const bool more, watches_.catch_up(state, *this));
    may_catch_up_ = more;
    --pieces;
  }
  return {};
}

void Front::upkeep(Time now) {
  upkeep_at_ = now + options_.upkeep_ns;
  const auto steps = static_cast<size_t>(std::max<int64_t>(options_.progress_ns / options_.upkeep_ns, 1));
  watches_.tell_progress(watches_.size() / steps + 1, *this);
  std::vector<wire::ConnectionId> stalled;
  for (auto& [id, connection] : connections_) {
    if (connection.unwritten == 0) connection.wrote = now;
    if (now - connection.wrote >= options_.stalled_ns) stalled.push_back(id);
  }
  for (const wire::ConnectionId id : stalled)
    cut_off(id,
            {Code::Exhausted, fmt::format("the client reads nothing for {} s", options_.stalled_ns / 1'000'000'000)});
}

// ---- every input ----

Result<void> Front::tick(Time now, const replica::Reader& state, Output& out) {
  out_ = &out;
  TRY_DO(tell_events(state));
  step(now);
  return {};
}

void Front::step(Time now) {
  run_timers(now);
  if (now >= upkeep_at_) upkeep(now);
  for (const wire::ConnectionId id : std::exchange(hopeless_, {}))
    cut_off(id,
            {Code::Exhausted, fmt::format("more than {} bytes wait for the client to read", options_.unwritten_max)});
}

Time Front::wake() const {
  if (more_events_ || may_catch_up_ || !hopeless_.empty()) return Time{0};
  Time at = std::min(upkeep_at_, read_again_);
  if (!timers_.empty()) at = std::min(at, timers_.top().at);
  return at;
}

Front::Figures Front::figures() const {
  Figures out{
      .connections = connections_.size(), .watches = watches_.size(), .timers = timers_.size(), .asks = asks_.size()};
  for (const auto& [id, connection] : connections_) {
    out.calls += connection.calls.size();
    out.call_bytes += connection.call_bytes;
    out.unwritten_bytes += connection.unwritten;
  }
  return out;
}

std::string Front::broken_invariant() const {
  std::unordered_map<Bytes, Usage> usage;
  size_t watches = 0;
  for (const auto& [id, connection] : connections_) {
    Usage& of = usage[connection.principal];
    ++of.connections;
    of.calls += connection.calls.size();
    of.call_bytes += connection.call_bytes;
    of.watches += connection.watches;
    watches += connection.watches;
    uint64_t bytes = 0;
    for (const auto& [name, call] : connection.calls) bytes += call.bytes;
    if (bytes != connection.call_bytes)
      return fmt::format("connection {}: calls of {} bytes, counted {}", id.value, bytes, connection.call_bytes);
  }
  if (usage != usage_) return "what principals use is counted wrongly";
  if (watches != watches_.size()) return fmt::format("{} watches, counted {}", watches_.size(), watches);
  return {};
}

}  // namespace hailstone::cell
