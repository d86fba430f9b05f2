#include "cell/client_requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "cell/sessions.h"

namespace hailstone::cell::client {
namespace {

constexpr uint32_t kOpenEndedMs = 10'000;  // what a member is told of a request without a deadline
constexpr size_t kItemBytes = 96;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

size_t bytes_of(const Compare& compare) {
  return kItemBytes + std::visit(Overloaded{[](const SequencerStands& c) { return c.sequencer.path.size(); },
                                            [](const auto& c) { return c.path.size(); }},
                                 compare);
}
size_t bytes_of(const Operation& operation) {
  return kItemBytes + std::visit(Overloaded{[](const Put& o) { return o.path.size() + o.content.size(); },
                                            [](const List& o) { return o.path.size() + o.after.size(); },
                                            [](const auto& o) { return o.path.size(); }},
                                 operation);
}
size_t bytes_of(const Body& body) {
  return kItemBytes + std::visit(Overloaded{[](const Txn& txn) {
                                              size_t bytes = 0;
                                              for (const auto& c : txn.compares) bytes += bytes_of(c);
                                              for (const auto& o : txn.then_operations) bytes += bytes_of(o);
                                              for (const auto& o : txn.else_operations) bytes += bytes_of(o);
                                              return bytes;
                                            },
                                            [](const SetRules& rules) {
                                              size_t bytes = rules.principal.size();
                                              for (const Rule& rule : rules.rules)
                                                bytes += kItemBytes + rule.prefix.size();
                                              return bytes;
                                            },
                                            [](const Lock& lock) { return lock.path.size(); },
                                            [](const Unlock& unlock) { return unlock.path.size(); },
                                            [](const Cancel& cancel) { return cancel.path.size(); },
                                            [](const auto&) { return size_t{0}; }},
                                 body);
}
size_t bytes_of(const wire::Query& query) {
  return kItemBytes + std::visit(Overloaded{[](const Get& q) { return q.path.size(); },
                                            [](const List& q) { return q.path.size() + q.after.size(); },
                                            [](const SequencerStands& q) { return q.sequencer.path.size(); },
                                            [](const wire::GetLock& q) { return q.path.size(); },
                                            [](const wire::GetRules& q) { return q.principal.size(); },
                                            [](const auto&) { return size_t{0}; }},
                                 query);
}

/// What the machine may keep of the reply.
uint32_t reply_bytes_max(const Body& body) {
  const auto* txn = std::get_if<Txn>(&body);
  if (!txn) return 256;
  const auto reads = [](const Operation& operation) {
    return std::holds_alternative<Get>(operation) || std::holds_alternative<List>(operation);
  };
  if (std::ranges::any_of(txn->then_operations, reads) || std::ranges::any_of(txn->else_operations, reads))
    return kReplyBytesMax + 256;
  return static_cast<uint32_t>(256 + kResultBytes * std::max(txn->then_operations.size(), txn->else_operations.size()));
}

/// Whether a result is of the kind that the payload asks for.
bool answers(const Payload& payload, const decltype(wire::Result::result)& result) {
  if (std::holds_alternative<wire::Result::Refused>(result)) return true;
  const auto* answered = std::get_if<wire::Result::Answered>(&result);
  return std::visit(Overloaded{[&](const Asking& p) { return answered && answered->answer.index() == p.query.index(); },
                               [&](const Reading&) {
                                 return std::holds_alternative<wire::Result::Fetched>(result) ||
                                        (answered && std::holds_alternative<Got>(answered->answer));
                               },
                               [&](const Managing&) { return std::holds_alternative<wire::Result::Managed>(result); },
                               [&](const auto&) { return std::holds_alternative<Reply>(result); }},
                    payload);
}

Given given_by(decltype(wire::Result::result) result) {
  return std::visit(
      Overloaded{[](wire::Result::Refused&) { return Given(); }, [](auto& given) { return Given(std::move(given)); }},
      result);
}

/// To be tried again before the deadline, for the member or the master of now is at fault.
bool is_passing(const Error& error) { return error.code == Code::Unavailable || error.code == Code::Timeout; }

}  // namespace

size_t bytes_of(const Payload& payload) {
  return std::visit(
      Overloaded{[](const Numbered& p) { return bytes_of(p.body); }, [](const Opening&) { return kItemBytes; },
                 [](const Once& p) { return bytes_of(p.body); }, [](const Asking& p) { return bytes_of(p.query); },
                 [](const Reading& p) { return kItemBytes + p.path.size(); },
                 [](const Managing& p) { return kItemBytes + p.request.size(); }},
      payload);
}

RequestId Requests::add(Payload payload, Owner owner, Tag tag, int64_t deadline_ns) {
  last_ = last_.next();
  Request request{.payload = std::move(payload), .owner = owner, .tag = tag, .deadline_ns = deadline_ns};
  (request.is_numbered() ? fresh_ : ready_).insert(last_);
  requests_.emplace_hint(requests_.end(), last_, std::move(request));
  return last_;
}

Requests::Abandoned Requests::abandon(RequestId id, int64_t now_ns) {
  const auto at = requests_.find(id);
  if (at == requests_.end()) return {};
  Request& request = at->second;
  Abandoned abandoned;
  if (request.out) abandoned.unanswered_since_ns = request.sent_ns;
  // Reads change nothing.
  const bool acts = request.is_numbered() || request.only_once();
  if (acts && (request.out || request.open || request.doubt)) abandoned.verdict = Verdict::Unknown;
  if (request.number && !request.doubt) {
    fill(request);
    if (request.out) retries_.emplace(now_ns + kPatienceNs, id);
    return abandoned;
  }
  if (request.number) decided(request.number);
  erase(at);
  return abandoned;
}

void Requests::fill(Request& request) {
  request.payload = Numbered{Txn{}};
  request.owner = Owner::Nobody;
  request.tag = {};
  request.deadline_ns = kNever;
}

// ---- sending ----

bool Requests::window_open() const {
  if (last_number_.value - got_.value >= kWindow) return false;
  return reply_bytes_ < kRepliesBytesMax;  // of those before it
}

void Requests::give_number(Request& request) {
  request.number = last_number_ = last_number_.next();
  const uint32_t reply = reply_bytes_max(std::get<Numbered>(request.payload).body);
  reply_max_[request.number.value % kWindow] = reply;
  reply_bytes_ += reply;
}

void Requests::decided(CommandNumber number) {
  if (number <= got_) return;
  decided_ |= uint64_t{1} << (number.value - got_.value - 1);
  for (; decided_ & 1; decided_ >>= 1) {
    got_ = got_.next();
    reply_bytes_ -= reply_max_[got_.value % kWindow];
  }
}

void Requests::flush(const Sending& sending) {
  while (!ready_.empty()) {
    const RequestId id = *ready_.begin();
    ready_.erase(ready_.begin());
    send(id, requests_.at(id), sending);
  }
  while (sending.session && !fresh_.empty()) {
    const RequestId id = *fresh_.begin();
    Request& request = requests_.at(id);
    if (!window_open()) break;
    fresh_.erase(fresh_.begin());
    give_number(request);
    send(id, request, sending);
  }
}

void Requests::send(RequestId id, Request& request, const Sending& sending) {
  if (request.out) {  // it was not answered
    calls_.erase(request.out);
    request.open = true;
  }
  request.out = last_call_ = last_call_.next();
  request.sent = true;
  request.sent_ns = sending.now_ns;
  calls_.emplace(request.out, id);
  const int64_t left_ms =
      request.deadline_ns == kNever ? kOpenEndedMs : (request.deadline_ns - sending.now_ns) / kNsPerMs;
  const auto deadline_ms = static_cast<uint32_t>(std::clamp<int64_t>(left_ms, 1, 3'600'000));
  sending.out.push_back(message_of(request, deadline_ms, sending));
}

wire::ClientMessage Requests::message_of(const Request& request, uint32_t deadline_ms, const Sending& sending) const {
  return std::visit(
      Overloaded{
          [&](const Numbered& p) -> wire::ClientMessage {
            return wire::Do{request.out, deadline_ms, sending.session, request.number, got_, p.body};
          },
          [&](const Opening& p) -> wire::ClientMessage {
            return wire::Do{request.out, deadline_ms, {}, {}, {}, p.open};
          },
          [&](const Once& p) -> wire::ClientMessage { return wire::Do{request.out, deadline_ms, {}, {}, {}, p.body}; },
          [&](const Asking& p) -> wire::ClientMessage { return wire::Ask{request.out, deadline_ms, p.view, p.query}; },
          [&](const Reading& p) -> wire::ClientMessage {
            sending.reads.depart(p.path, sending.caching ? Reads::Way::Fetch : Reads::Way::Ask,
                                 sending.cache_lease_runs);
            if (sending.caching) return wire::Fetch{request.out, deadline_ms, sending.session, p.path};
            return wire::Ask{request.out, deadline_ms, wire::Ask::View::Linearizable, Get{p.path}};
          },
          [&](const Managing& p) -> wire::ClientMessage { return wire::Manage{request.out, deadline_ms, p.request}; }},
      request.payload);
}

// ---- answers ----

Requests::Taken Requests::on_result(wire::Result result, int64_t now_ns, bool lease_runs, wire::Beat last_beat) {
  const auto call = calls_.find(result.call);
  if (call == calls_.end()) return Taken::Yes;  // given up
  const auto at = requests_.find(call->second);
  Request& request = at->second;
  // It stays out: the connection is about to end.
  if (!answers(request.payload, result.result)) return Taken::Nonsense;
  calls_.erase(call);
  request.out = {};
  Taken taken = Taken::Yes;
  if (auto* refused = std::get_if<wire::Result::Refused>(&result.result)) {
    on_refused(at, std::move(*refused), now_ns);
    return taken;
  }
  if (auto* reply = std::get_if<Reply>(&result.result))
    on_reply(at, std::move(*reply), lease_runs, last_beat, taken);
  else
    finish(at, Verdict::Done, {}, given_by(std::move(result.result)));
  return taken;
}

void Requests::on_reply(Table::iterator at, Reply reply, bool lease_runs, wire::Beat last_beat, Taken& taken) {
  Request& request = at->second;
  const bool about_session =
      reply.refused && (reply.refused->code == Code::NotFound || reply.refused->code == Code::Denied);
  if (request.number && about_session && !lease_runs && request.owner != Owner::Nobody) {
    request.doubt = {std::move(reply), last_beat.next()};
    doubts_.push_back(at->first);
    taken = Taken::Doubtful;
    return;
  }
  if (request.number) decided(request.number);
  const Verdict verdict = reply.refused ? Verdict::Refused : Verdict::Done;
  Error error = reply.refused.value_or(Error{});
  finish(at, verdict, std::move(error), std::move(reply));
}

void Requests::on_refused(Table::iterator at, wire::Result::Refused refused, int64_t now_ns) {
  Request& request = at->second;
  const bool unknown = refused.fate == wire::Result::Refused::Fate::Unknown;
  if (request.is_numbered()) {
    request.open |= unknown;
    const auto& body = std::get<Numbered>(request.payload).body;
    // What gives something up is not itself given up.
    const bool persists = request.owner == Owner::Nobody || std::holds_alternative<Unlock>(body) ||
                          std::holds_alternative<Cancel>(body) || std::holds_alternative<CloseSession>(body);
    if (request.open || persists || is_passing(refused.error)) return retry(at->first, request, now_ns);
    ended.push_back(
        {request.owner, request.tag, std::move(request.payload), Verdict::Refused, std::move(refused.error), {}});
    fill(request);
    return retry(at->first, request, now_ns);
  }
  if (request.only_once()) {
    if (unknown) return finish(at, Verdict::Unknown, std::move(refused.error), {});
    if (is_passing(refused.error)) return retry(at->first, request, now_ns);
    return finish(at, Verdict::Refused, std::move(refused.error), {});
  }
  // To a Fetch the session may be unknown, or the master full: as a plain read it is possible all the same.
  const bool of_fetch = std::holds_alternative<Reading>(request.payload) &&
                        (refused.error.code == Code::NotFound || refused.error.code == Code::Exhausted);
  if (of_fetch || is_passing(refused.error)) return retry(at->first, request, now_ns);
  finish(at, Verdict::Refused, std::move(refused.error), {});
}

void Requests::retry(RequestId id, Request& request, int64_t now_ns) {
  const int64_t delay_ms = std::min<int64_t>(int64_t{10} << std::min<uint8_t>(request.attempts, 7), 1000);
  if (request.attempts < 255) ++request.attempts;
  unschedule(id);
  retries_.emplace(now_ns + delay_ms * kNsPerMs, id);
}

void Requests::unschedule(RequestId id) {
  std::erase_if(retries_, [&](const auto& timer) { return timer.second == id; });
}

void Requests::finish(Table::iterator at, Verdict verdict, Error error, Given given) {
  Request& request = at->second;
  if (request.owner != Owner::Nobody)
    ended.push_back(
        {request.owner, request.tag, std::move(request.payload), verdict, std::move(error), std::move(given)});
  erase(at);
}

Requests::Table::iterator Requests::erase(Table::iterator at) {
  const RequestId id = at->first;
  ready_.erase(id);
  fresh_.erase(id);
  std::erase(doubts_, id);
  unschedule(id);
  if (at->second.out) calls_.erase(at->second.out);
  return requests_.erase(at);
}

void Requests::settle_doubts(wire::Beat answered) {
  for (const RequestId id : std::vector(doubts_)) {
    const auto at = requests_.find(id);
    if (at->second.doubt->settled_by > answered) continue;
    Reply reply = std::move(at->second.doubt->reply);
    decided(at->second.number);
    Error error = *reply.refused;
    finish(at, Verdict::Refused, std::move(error), std::move(reply));
  }
}

// ---- connections, sessions, time ----

void Requests::on_disconnected() {
  calls_.clear();
  for (auto at = requests_.begin(); at != requests_.end();) {
    const auto here = at++;
    Request& request = here->second;
    if (!request.out) continue;
    request.out = {};
    if (request.only_once()) {
      finish(here, Verdict::Unknown, {Code::Timeout, "the connection was lost before the answer came"}, {});
      continue;
    }
    request.open = true;
    unschedule(here->first);
    ready_.insert(here->first);
  }
}

void Requests::session_ended(const Error& why) {
  for (auto at = requests_.begin(); at != requests_.end();) {
    const auto here = at++;
    const Request& request = here->second;
    if (!request.is_numbered()) continue;
    const bool unknown = request.out || request.open || request.doubt;
    finish(here, unknown ? Verdict::Unknown : Verdict::NotDone, why, {});
  }
  last_number_ = got_ = {};
  decided_ = reply_bytes_ = 0;
}

void Requests::advance(int64_t now_ns) {
  while (!retries_.empty() && retries_.begin()->first <= now_ns) {
    ready_.insert(retries_.begin()->second);
    retries_.erase(retries_.begin());
  }
}

}  // namespace hailstone::cell::client
