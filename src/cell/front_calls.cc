// Calls of clients: reads answered here at a read point, the rest relayed to the master and, where that is safe, to the
// next one.
#include <fmt/format.h>

#include <algorithm>

#include "cell/front.h"

namespace hailstone::cell {
namespace {

constexpr size_t kListingBytesMax = 1 << 20;  // of names; more is for the next page
constexpr size_t kTimersKept = 4096;          // however few calls there are

struct Header {
  wire::CallId call;
  uint32_t deadline_ms = 0;
};
std::optional<Header> header_of(const wire::ClientMessage& message) {
  if (const auto* m = std::get_if<wire::Do>(&message)) return Header{m->call, m->deadline_ms};
  if (const auto* m = std::get_if<wire::Ask>(&message)) return Header{m->call, m->deadline_ms};
  if (const auto* m = std::get_if<wire::Fetch>(&message)) return Header{m->call, m->deadline_ms};
  if (const auto* m = std::get_if<wire::Manage>(&message)) return Header{m->call, m->deadline_ms};
  return std::nullopt;
}

/// Done once however often it is sent.
bool is_repeatable(const wire::ClientMessage& message) {
  const auto* command = std::get_if<wire::Do>(&message);
  return !command || command->session || std::holds_alternative<OpenSession>(command->body);
}

/// About what it holds in memory.
size_t bytes_of(const wire::ClientMessage& message) {
  if (const auto* command = std::get_if<wire::Do>(&message)) return sizeof(message) + encoded_bytes(command->body);
  if (const auto* fetch = std::get_if<wire::Fetch>(&message)) return sizeof(message) + fetch->path.size();
  return sizeof(message);
}

/// Of one principal, at one state.
class Answering {
 public:
  Answering(const replica::Reader& state, const Counters& counters, const Permissions& permissions, ByteView principal)
      : state_(state), counters_(counters), permissions_(permissions), principal_(principal) {}

  Result<wire::Answer> operator()(const Get& query) const {
    TRY_DO(may(Right::Read, query.path));
    TRY(auto file, read_file(state_, query.path));
    return Got{std::move(file)};
  }
  Result<wire::Answer> operator()(const List& query) const {
    TRY_DO(may(Right::Read, query.path));
    TRY(Listing listing, list(state_, query));
    size_t bytes = 0;
    for (size_t i = 0; i < listing.entries.size(); ++i) {
      bytes += listing.entries[i].name.size();
      if (i == 0 || bytes <= kListingBytesMax) continue;
      listing.entries.resize(i);
      listing.next = listing.entries.back().name;
    }
    return Listed{std::move(listing)};
  }
  Result<wire::Answer> operator()(const SequencerStands& query) const {
    TRY_DO(may(Right::Read, query.sequencer.path));
    TRY(const bool stands, sequencer_stands(state_, query.sequencer));
    return stands;
  }
  Result<wire::Answer> operator()(const wire::GetLock& query) const {
    TRY_DO(may(Right::Read, query.path));
    TRY(auto lock, schema::read_lock(state_, query.path));
    return lock;
  }
  Result<wire::Answer> operator()(const wire::GetSessions& query) const {
    TRY_DO(permissions_.check(Right::Admin, "/"));
    const size_t most = query.entries_max == 0 ? kListMax : std::min<size_t>(query.entries_max, kListMax);
    TRY(auto sessions, list_sessions(state_, query.after, most));
    std::vector<wire::SessionInfo> out;
    for (auto& [id, record] : sessions)
      out.push_back({id, std::move(record.principal), record.lease_ms, record.caching, record.opened, record.holds});
    return out;
  }
  Result<wire::Answer> operator()(const wire::GetRules& query) const {
    if (query.principal != principal_ && query.principal != kEverybody) TRY_DO(permissions_.check(Right::Admin, "/"));
    TRY(auto rules, schema::read_rules(state_, query.principal));
    return rules;
  }
  Result<wire::Answer> operator()(const wire::GetState&) const {
    TRY(const Settings settings, schema::read_settings(state_));
    return wire::StateInfo{settings, counters_};
  }

 private:
  Result<void> may(Right right, ByteView path) const {
    TRY_DO(validate_path(path));
    return permissions_.check(right, path);
  }

  const replica::Reader& state_;
  const Counters& counters_;
  const Permissions& permissions_;
  ByteView principal_;
};

}  // namespace

Result<void> Front::take_call(Time now, wire::ConnectionId id, wire::ClientMessage message,
                              const replica::Reader& state) {
  Connection& connection = connections_.at(id);
  const Header header = *header_of(message);
  if (header.call <= connection.last_call) {
    cut_off(id, {Code::Invalid, fmt::format("call {} after call {}", header.call.value, connection.last_call.value)});
    return {};
  }
  connection.last_call = header.call;
  Usage& usage = usage_.at(connection.principal);
  const size_t bytes = bytes_of(message);
  const auto exhausted = [&](std::string why) {
    send(id, wire::Result{header.call, wire::Refused{{Code::Exhausted, std::move(why)}, Fate::NotDone}});
    return Result<void>();
  };
  if (std::holds_alternative<wire::Do>(message) && bytes > sizeof(message) + kCommandBytesMax) {
    const Error error{Code::Invalid, fmt::format("a command of {} bytes, at most {}", bytes, kCommandBytesMax)};
    send(id, wire::Result{header.call, wire::Refused{error, Fate::NotDone}});
    return {};
  }
  if (connection.calls.size() >= options_.calls_max || connection.call_bytes + bytes > options_.call_bytes_max)
    return exhausted(
        fmt::format("{} calls of {} bytes are not answered yet", connection.calls.size(), connection.call_bytes));
  if (usage.calls >= options_.principal_calls_max || usage.call_bytes + bytes > options_.principal_call_bytes_max)
    return exhausted(fmt::format("{} calls of {} bytes of '{}' are not answered yet", usage.calls, usage.call_bytes,
                                 printable(connection.principal)));
  const CallName name{id, header.call};
  Call& call = connection.calls[header.call];
  call.bytes = bytes;
  call.deadline = now + ns_of_ms(std::min(header.deadline_ms, options_.deadline_ms_max));
  call.message = std::move(message);
  connection.call_bytes += bytes;
  ++usage.calls;
  usage.call_bytes += bytes;
  arm({Timer::What::Deadline, call.deadline, name});
  if (auto* manage = std::get_if<wire::Manage>(&call.message)) {
    call.doubt = true;
    out_->manage.push_back({id, header.call, connection.principal, std::move(manage->request)});
  } else if (const auto* ask = std::get_if<wire::Ask>(&call.message)) {
    if (ask->view == wire::Ask::View::Local || options_.mistakes.local_read_passes_for_linearizable)
      return answer(name, state);
    asks_.push_back(name);
  } else {
    relay(name, call, now);
  }
  return {};
}

Front::Call* Front::find(CallName name) {
  const auto connection = connections_.find(name.connection);
  if (connection == connections_.end()) return nullptr;
  const auto call = connection->second.calls.find(name.call);
  return call == connection->second.calls.end() ? nullptr : &call->second;
}

void Front::finish(CallName name, wire::Result result) {
  const auto at = connections_.find(name.connection);
  if (at == connections_.end()) return;
  Connection& connection = at->second;
  const auto call = connection.calls.find(name.call);
  if (call == connection.calls.end()) return;
  Usage& usage = usage_.at(connection.principal);
  --usage.calls;
  usage.call_bytes -= call->second.bytes;
  connection.call_bytes -= call->second.bytes;
  connection.calls.erase(call);
  result.call = name.call;
  send(name.connection, std::move(result));
}

void Front::refuse(CallName name, Error error, Fate fate) { finish(name, {{}, wire::Refused{std::move(error), fate}}); }

// ---- relayed ----

/// To the leader, if there is one that does not have it, and if it may be sent there.
void Front::relay(CallName name, Call& call, Time now) {
  if (!leader_ || std::ranges::find(call.out, leader_) != call.out.end()) return;
  const bool first = call.out.empty() && !call.doubt;
  if (!first && !is_repeatable(call.message) && !options_.mistakes.relay_repeats_what_is_not_repeatable) return;
  wire::ClientMessage message = call.message;
  // The master refuses at its deadline what it did not propose; there must be time for that to arrive.
  const int64_t left_ms = std::max<int64_t>(call.deadline - now, 0) / 1'000'000 * 7 / 8;
  std::visit(
      [&](auto& m) {
        if constexpr (requires { m.deadline_ms; }) m.deadline_ms = static_cast<uint32_t>(left_ms);
      },
      message);
  call.out.push_back(leader_);
  out_->members.push_back(
      {leader_, wire::Relay{name.connection, connections_.at(name.connection).principal, std::move(message)}});
}

void Front::leader(Time now, MemberId member, Output& out) {
  out_ = &out;
  if (leader_ == member) return;
  leader_ = member;
  if (!leader_) return;
  for (auto& [id, connection] : connections_) {
    if (connection.beat) out_->members.push_back({leader_, wire::Relay{id, connection.principal, *connection.beat}});
    for (auto& [call_id, call] : connection.calls)
      if (!std::holds_alternative<wire::Ask>(call.message) && !std::holds_alternative<wire::Manage>(call.message))
        relay({id, call_id}, call, now);
  }
  if (!asks_.empty()) read_again_ = now;
}

void Front::link_lost(Time now, MemberId member, Output& out) {
  out_ = &out;
  for (auto& [id, connection] : connections_)
    for (auto& [call_id, call] : connection.calls) {
      if (std::erase(call.out, member) == 0) continue;
      call.doubt = true;
      arm({Timer::What::Retry, now + options_.retry_ns, {id, call_id}});
    }
}

void Front::receive(Time now, MemberId from, wire::PeerMessage message, Output& out) {
  out_ = &out;
  if (const auto* back = std::get_if<wire::NotMaster>(&message)) {
    const CallName name{back->connection, back->call};
    Call* const call = find(name);
    if (!call) return;
    if (const auto copy = std::ranges::find(call->out, from); copy != call->out.end()) call->out.erase(copy);
    if (leader_ != from) return relay(name, *call, now);
    arm({Timer::What::Retry, now + options_.retry_ns, name});
    return;
  }
  auto* reverse = std::get_if<wire::Reverse>(&message);
  if (!reverse) return;
  const wire::ConnectionId id = reverse->connection;
  if (auto* result = std::get_if<wire::Result>(&reverse->message)) {
    const CallName name{id, result->call};
    Call* const call = find(name);
    if (!call) return;
    if (const auto copy = std::ranges::find(call->out, from); copy != call->out.end()) call->out.erase(copy);
    const auto* refused = std::get_if<wire::Refused>(&result->result);
    if (refused && refused->fate == Fate::Unknown) {
      call->doubt = true;
      if (is_repeatable(call->message) && now < call->deadline) {
        arm({Timer::What::Retry, now + options_.retry_ns, name});
        return;
      }
    }
    // Of this copy it is sure, but another one is under way.
    if (refused && refused->fate == Fate::NotDone && !call->out.empty()) return;
    if (refused && refused->fate == Fate::NotDone && call->doubt && !std::holds_alternative<wire::Fetch>(call->message))
      return refuse(name, refused->error, Fate::Unknown);
    return finish(name, std::move(*result));
  }
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  if (const auto* lease = std::get_if<wire::Lease>(&reverse->message))
    if (at->second.beat && at->second.beat->beat <= lease->beat) at->second.beat.reset();
  if (std::holds_alternative<wire::Lease>(reverse->message) ||
      std::holds_alternative<wire::Invalidate>(reverse->message))
    send(id, reverse->message);
}

// ---- answered here ----

void Front::want_read_point() {
  if (asks_.empty() || read_again_ != kNever || read_points_.size() >= options_.read_points_max) return;
  const uint64_t tag = ++last_read_point_;
  read_points_.emplace(tag, std::exchange(asks_, {}));
  out_->read_points.push_back(tag);
}

Result<void> Front::read_point(Time now, uint64_t tag, Result<void> reached, const replica::Reader& state,
                               Output& out) {
  out_ = &out;
  const auto at = read_points_.find(tag);
  if (at == read_points_.end()) return {};
  const std::vector<CallName> asks = std::move(at->second);
  read_points_.erase(at);
  if (reached) {
    for (const CallName name : asks) TRY_DO(answer(name, state));
  } else {
    std::ranges::copy_if(asks, std::back_inserter(asks_), [&](CallName name) { return find(name); });
    read_again_ = now + options_.retry_ns;
  }
  step(now);
  return {};
}

Result<void> Front::answer(CallName name, const replica::Reader& state) {
  const Call* const call = find(name);
  if (!call) return {};
  const Connection& connection = connections_.at(name.connection);
  if (connection.unwritten > options_.answers_unwritten_max) {
    refuse(name, {Code::Exhausted, fmt::format("{} bytes wait for the client to read", connection.unwritten)},
           Fate::NotDone);
    return {};
  }
  const auto& ask = std::get<wire::Ask>(call->message);
  TRY(const Counters counters, schema::read_counters(state));
  TRY(const auto permissions, Permissions::read(state, counters, connection.principal));
  auto answer = std::visit(Answering(state, counters, permissions, connection.principal), ask.query);
  if (!answer && answer.error().code == Code::Corrupt) return std::unexpected(std::move(answer).error());
  if (!answer)
    refuse(name, std::move(answer).error(), Fate::NotDone);
  else
    finish(name, {{}, wire::Answered{counters.revision, *std::move(answer)}});
  return {};
}

void Front::managed(wire::ConnectionId id, wire::CallId call, Result<Bytes> response, Output& out) {
  out_ = &out;
  if (response)
    finish({id, call}, {{}, wire::Managed{*std::move(response)}});
  else
    refuse({id, call}, response.error(), response.error().code == Code::Timeout ? Fate::Unknown : Fate::NotDone);
}

// ---- time ----

void Front::deadline(CallName name) {
  const Call* const call = find(name);
  if (!call) return;
  const bool reads =
      std::holds_alternative<wire::Ask>(call->message) || std::holds_alternative<wire::Fetch>(call->message);
  const bool sent = call->doubt || !call->out.empty();
  const bool unknown = sent && !reads && !options_.mistakes.relayed_call_is_told_not_done;
  refuse(name, {Code::Timeout, sent ? "no answer of the master before the deadline" : "no master before the deadline"},
         unknown ? Fate::Unknown : Fate::NotDone);
}

/// A deadline may be long after its call has ended: without a look now and then they would add up.
void Front::arm(Timer timer) {
  timers_.push(timer);
  if (timers_.size() <= std::max(timers_max_, kTimersKept)) return;
  std::vector<Timer> left;
  for (; !timers_.empty(); timers_.pop())
    if (find(timers_.top().name)) left.push_back(timers_.top());
  timers_max_ = 2 * left.size();
  timers_ = decltype(timers_)(std::greater<>(), std::move(left));
}

void Front::run_timers(Time now) {
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    if (timer.what == Timer::What::Deadline)
      deadline(timer.name);
    else if (Call* const call = find(timer.name))
      relay(timer.name, *call, now);
  }
  if (read_again_ <= now) read_again_ = kNever;
  want_read_point();
}

}  // namespace hailstone::cell
