// The bench's clients: the real core, links that stall and break, and an application that does a little of everything.
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "cell/bench_world.h"

namespace hailstone::cell::bench {
namespace {

constexpr int64_t kMs = 1'000'000;

std::optional<std::pair<wire::CallId, uint32_t>> call_of(const wire::ClientMessage& message) {
  return std::visit(
      [](const auto& m) -> std::optional<std::pair<wire::CallId, uint32_t>> {
        if constexpr (requires { m.deadline_ms; }) return std::pair(m.call, m.deadline_ms);
        return std::nullopt;
      },
      message);
}

}  // namespace

// ---- the connection ----

void World::act(ClientNode& c) {
  while (true) {
    client::Output out = std::exchange(c.core->output(), {});
    if (!out.disconnect && out.messages.empty() && out.notices.empty() && !out.connect) break;
    if (out.disconnect && c.connection) {
      const auto gone = std::exchange(c.connection, nullptr);
      gone->open = false;
      scheduler_.after(between(0, 5 * kMs), [this, gone] {
        connections_.erase(gone->id);
        if (members_[gone->member].up) members_[gone->member].front->closed(gone->id);
      });
    }
    if (c.connection)
      for (auto& message : out.messages) from_client(c.connection, std::move(message));
    if (out.connect) dial(c);
    for (auto& notice : out.notices) told(c, std::move(notice));
  }
  wake(c);
}

void World::wake(ClientNode& c) {
  const int64_t local_at = c.core->next_wakeup_ns();
  if (local_at == client::kNever) return;
  const TrueTime when =
      local_at <= c.clock.offset_ns ? scheduler_.now() : std::max(c.clock.when(local_at), scheduler_.now());
  if (when >= c.wakes_at) return;
  c.wakes_at = when;
  scheduler_.at(when, [this, &c, when] {
    if (c.wakes_at != when) return;
    c.wakes_at = INT64_MAX;
    c.core->on_tick(local(c));
    act(c);
  });
}

void World::dial(ClientNode& c) {
  const size_t target = c.next_member++ % members_.size();
  scheduler_.after(between(kMs, 10 * kMs), [this, &c, target] {
    Member& m = members_[target];
    if (!m.up) {
      c.core->on_disconnected({Code::Unavailable, "refused"}, local(c));
      return act(c);
    }
    const wire::ConnectionId id(++last_connection_);
    c.connection = connections_[id] =
        std::make_shared<Connection>(Connection{.id = id, .client = c.index, .member = target});
    m.front->connected(local(m), id, c.principal);
    c.core->on_connected(local(c));
    act(c);
  });
}

void World::hang_up(ClientNode& c) {
  if (!c.connection) return;
  const auto gone = std::exchange(c.connection, nullptr);
  gone->open = false;
  scheduler_.after(between(0, 50 * kMs), [this, gone] {
    connections_.erase(gone->id);
    if (members_[gone->member].up) members_[gone->member].front->closed(gone->id);
  });
  scheduler_.after(0, [this, &c] {
    c.core->on_disconnected({Code::Unavailable, "reset"}, local(c));
    act(c);
  });
}

void World::from_client(const std::shared_ptr<Connection>& connection, wire::ClientMessage message) {
  ClientNode& c = clients_[connection->client];
  distort(c, message);
  TrueTime& arrives = connection->to_member;
  arrives = std::max({arrives, connection->stalled_until, scheduler_.now() + between(kMs / 10, 5 * kMs)});
  scheduler_.at(arrives, [this, connection, bytes = wire::encode(message)] {
    Member& m = members_[connection->member];
    // What was sent before a reset may still arrive.
    if (!m.up || !connections_.contains(connection->id)) return;
    auto decoded = wire::decode_client_message(bytes);
    CHECK(decoded.has_value());
    if (const auto call = call_of(*decoded))
      connection->deadlines[call->first] =
          scheduler_.now() + static_cast<int64_t>(static_cast<double>(call->second) * kMs / m.clock.rate) + kMs;
    Front::Output out;
    CHECK(m.front->receive(local(m), connection->id, *std::move(decoded), *m.database, out).has_value());
    act(m, std::move(out));
  });
}

void World::to_client(const std::shared_ptr<Connection>& connection, Bytes message, bool close) {
  const auto decoded = wire::decode_member_message(message);
  CHECK(decoded.has_value());
  if (const auto* result = std::get_if<wire::Result>(&*decoded)) {
    if (connection->deadlines.erase(result->call) == 0)
      judge_.violation(fmt::format("call {} was answered twice, or never asked", result->call.value));
  }
  TrueTime& arrives = connection->to_client;
  arrives = std::max({arrives, connection->stalled_until, scheduler_.now() + between(kMs / 10, 5 * kMs)});
  scheduler_.at(arrives, [this, connection, message = std::move(message), close] {
    if (!connection->open) return;
    ClientNode& c = clients_[connection->client];
    Member& m = members_[connection->member];
    auto again = wire::decode_member_message(message);
    distort(c, *again);
    c.core->on_message(*std::move(again), local(c));
    act(c);
    if (close) hang_up(c);
    if (!m.up || !connections_.contains(connection->id)) return;
    Front::Output out;
    m.front->written(local(m), connection->id, message.size(), out);
    act(m, std::move(out));
  });
}

void World::distort(ClientNode& c, wire::ClientMessage& message) const {
  if (!options_.client_mistakes.keeps_copies_over_epochs) return;
  if (auto* beat = std::get_if<wire::KeepAlive>(&message)) beat->seen = wire::Epoch(c.true_epoch);
  if (auto* dropped = std::get_if<wire::Dropped>(&message)) dropped->epoch = wire::Epoch(c.true_epoch);
}

void World::distort(ClientNode& c, wire::MemberMessage& message) const {
  if (!options_.client_mistakes.keeps_copies_over_epochs) return;
  const auto hide = [&](wire::Epoch& epoch) {
    c.true_epoch = std::max(c.true_epoch, epoch.value);
    epoch = wire::Epoch(1);
  };
  if (auto* lease = std::get_if<wire::Lease>(&message)) hide(lease->epoch);
  if (auto* invalidate = std::get_if<wire::Invalidate>(&message)) hide(invalidate->epoch);
  if (auto* result = std::get_if<wire::Result>(&message))
    if (auto* fetched = std::get_if<wire::Fetched>(&result->result)) hide(fetched->epoch);
}

/// Every call is answered by its deadline, as long as the connection is there and the member runs.
void World::check_deadlines() {
  scheduler_.after(100 * kMs, [this] { check_deadlines(); });
  for (const auto& [id, connection] : connections_) {
    if (!members_[connection->member].up) continue;
    for (const auto& [call, deadline] : connection->deadlines)
      if (connection->open && deadline < scheduler_.now()) {
        judge_.violation(fmt::format("connection {}: call {} has no answer at its deadline", id.value, call.value));
        connection->deadlines.erase(call);
        return;
      }
  }
}

// ---- what the application hears ----

void World::told(ClientNode& c, client::Notice notice) {
  if (auto* call = std::get_if<client::CallEnded>(&notice)) return ended(c, std::move(*call));
  if (const auto* lost = std::get_if<client::LockLost>(&notice)) c.held.erase(lost->sequencer.path);
  if (const auto* session = std::get_if<client::SessionChanged>(&notice)) {
    using Change = client::SessionChanged::Change;
    if (session->change == Change::Expired) {
      count("sessions lost");
      c.held.clear();
      c.closing = false;
      if (options_.gentle)
        judge_.violation(fmt::format("client {} lost its session: {}", c.index, session->error.message));
    }
    if (session->change == Change::Closed) {
      c.closing = false;
      c.core->open(local(c));
    }
    if (session->change == Change::Opened) count("sessions opened");
    if (session->change == Change::Safe) count("sessions saved");
  }
  if (auto* events = std::get_if<client::WatchEvents>(&notice)) {
    auto& watching = c.watches.at(events->watch);
    if (events->batch.compacted) {
      count("compacted");
      const Bytes prefix = watching.prefix;
      const Revision from = *events->batch.compacted;
      c.watches.erase(events->watch);
      return watch(c, prefix, from);
    }
    if (watching.upto) judge_.events(watching.prefix, *watching.upto, events->batch);
    watching.upto = events->batch.upto;
    scheduler_.after(between(0, 50 * kMs), [this, &c, tag = events->watch, bytes = events->bytes] {
      if (!c.watches.contains(tag)) return;
      c.core->taken(tag, bytes, local(c));
      act(c);
    });
  }
  if (const auto* over = std::get_if<client::WatchEnded>(&notice))
    judge_.violation(fmt::format("client {}: a watch ended: {}", c.index, over->error.message));
}

void World::ended(ClientNode& c, client::CallEnded call) {
  const auto at = c.operations.find(call.tag);
  if (at == c.operations.end()) return;
  const Asked asked = std::move(at->second);
  c.operations.erase(at);
  const bool done = call.verdict == client::Verdict::Done;
  count(done ? "calls done" : call.verdict == client::Verdict::Unknown ? "calls unknown" : "calls not done");
  switch (asked.kind) {
    case Asked::Kind::Read: {
      if (!done) return;
      const auto& copy = std::get<client::Copy>(call.value);
      judge_.read(asked.path, asked.floor, copy.file ? std::optional(copy.file->content) : std::nullopt, "fetched");
      return;
    }
    case Asked::Kind::Ask: {
      if (!done) return;
      const auto& got = std::get<Got>(std::get<wire::Answered>(call.value).answer);
      judge_.read(asked.path, asked.floor, got.file ? std::optional(got.file->content) : std::nullopt, "linearizable");
      return;
    }
    case Asked::Kind::Write:
    case Asked::Kind::WriteOnce:
      if (done)
        judge_.write_done(asked.path, asked.content, std::get<Reply>(call.value).revision);
      else if (call.verdict != client::Verdict::Unknown)
        judge_.write_not_done(asked.content);
      return;
    case Asked::Kind::Delete:
      if (done) judge_.known(asked.path, std::get<Reply>(call.value).revision);
      return;
    case Asked::Kind::Lock:
      if (done) granted(c, std::get<Sequencer>(call.value));
      return;
    case Asked::Kind::Unlock: return;
  }
}

/// Whether it may act as the holder of what its session has.
bool World::believes(ClientNode& c) {
  c.core->on_tick(local(c));
  const bool connected = c.core->state() == client::Core::State::Connected;
  scheduler_.after(0, [this, &c] { act(c); });
  return connected;
}

void World::granted(ClientNode& c, const Sequencer& sequencer) {
  if (c.closing) return;  // it is given back
  judge_.granted(sequencer);
  for (ClientNode& other : clients_)
    if (&other != &c && other.held.contains(sequencer.path) && believes(other))
      judge_.violation(
          fmt::format("lock {}: client {} is granted it while client {} has it", sequencer.path, c.index, other.index));
  c.held[sequencer.path] = sequencer;
  scheduler_.after(between(0, 500 * kMs), [this, &c, sequencer] {
    const auto at = c.held.find(sequencer.path);
    if (at == c.held.end() || at->second != sequencer) return;
    c.held.erase(at);
    const client::Tag tag(++c.last_tag);
    c.operations[tag] = {Asked::Kind::Unlock, sequencer.path, {}, {}};
    c.core->unlock(tag, sequencer.path, local(c) + 5000 * kMs, local(c));
    act(c);
  });
}

void World::expired(SessionId session) {
  for (ClientNode& c : clients_)
    if (c.core->session() == session && believes(c))
      judge_.violation(fmt::format("session {} expires while its client {} trusts its lease", session.value, c.index));
}

// ---- what the application does ----

void World::watch(ClientNode& c, const Bytes& prefix, std::optional<Revision> after) {
  const client::WatchTag tag(++c.last_tag);
  c.watches[tag] = {prefix, after};
  c.core->watch(tag, prefix, after, {}, local(c));
  act(c);
}

void World::operate(ClientNode& c) {
  if (quiet_) return;
  scheduler_.after(dice_.one_in(10) ? between(0, 400 * kMs) : between(0, 30 * kMs), [this, &c] { operate(c); });
  const Bytes path =
      dice_.one_in(4) ? fmt::format("/e{}", dice_.below(options_.clients)) : fmt::format("/d/f{}", dice_.below(4));
  const Bytes own = fmt::format("/e{}", c.index);
  const int64_t now = local(c);
  const int64_t deadline = now + between(50 * kMs, 4000 * kMs);
  c.core->on_tick(now);
  if (const client::Copy* copy = c.core->cached(path, now))
    judge_.read(path, judge_.floor(path), copy->file ? std::optional(copy->file->content) : std::nullopt, "cached");
  act(c);
  const client::Tag tag(++c.last_tag);
  Asked& asked = c.operations[tag];
  asked = {Asked::Kind::Read, path, {}, judge_.floor(path)};
  const auto put = [&](const Bytes& where, Put::Life life) {
    asked.path = where;
    asked.content = fmt::format("v{}", ++last_content_);
    return Txn{{}, {Put{where, asked.content, Put::Mode::Write, life}}, {}};
  };
  switch (dice_.below(16)) {
    case 0:
    case 1:
      asked.kind = Asked::Kind::Ask;
      c.core->ask(tag, wire::Ask::View::Linearizable, Get{path}, deadline, now);
      break;
    case 2:
    case 3: {
      asked.kind = Asked::Kind::Write;
      c.core->command(tag, put(fmt::format("/d/f{}", dice_.below(4)), Put::Life::Lasting), deadline, now);
      break;
    }
    case 4: {
      asked.kind = Asked::Kind::Write;
      c.core->command(tag, put(own, Put::Life::Ephemeral), deadline, now);
      break;
    }
    case 5: {
      asked.kind = Asked::Kind::WriteOnce;
      c.core->command_once(tag, put(fmt::format("/d/f{}", dice_.below(4)), Put::Life::Lasting), deadline, now);
      break;
    }
    case 6:
      asked.kind = Asked::Kind::Delete;
      if (dice_.one_in(3))
        c.core->command(tag, Txn{{}, {DeleteSubtree{"/d", 100}}, {}}, deadline, now);
      else
        c.core->command(tag, Txn{{}, {Delete{path}}, {}}, deadline, now);
      break;
    case 7: {
      asked.kind = Asked::Kind::Lock;
      asked.path = fmt::format("/l{}", dice_.below(2));
      c.core->lock(tag, asked.path, LockMode::Exclusive, dice_.one_in(2) ? Lock::Wait::Queue : Lock::Wait::Try,
                   dice_.one_in(4) ? 500 : 0, deadline, now);
      break;
    }
    case 8:
      if (dice_.one_in(20)) {
        asked.kind = Asked::Kind::Unlock;
        c.held.clear();
        c.closing = c.core->state() != client::Core::State::None;
        c.core->close(tag, deadline, now);
        break;
      }
      [[fallthrough]];
    default: c.core->read(tag, path, deadline, now);
  }
  act(c);
}

}  // namespace hailstone::cell::bench
