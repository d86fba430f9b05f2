#include "cell/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hailstone::cell::client {
namespace {

uint64_t mix(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// A Reply, Answered or Managed as the application gets it.
CallEnded::Value value_of(Given given) {
  CallEnded::Value value;
  if (auto* reply = std::get_if<Reply>(&given)) value = std::move(*reply);
  if (auto* answered = std::get_if<wire::Result::Answered>(&given)) value = std::move(*answered);
  if (auto* managed = std::get_if<wire::Result::Managed>(&given)) value = std::move(*managed);
  return value;
}

}  // namespace

hailstone::Result<void> Options::validate() const {
  const auto check = [](bool right, std::string_view field) -> hailstone::Result<void> {
    if (right) return {};
    return fail(Code::Invalid, fmt::format("client option {}: out of range", field));
  };
  TRY_DO(check(lease_ms > 0, "lease_ms"));
  TRY_DO(check(clock_error_ppm < 500'000, "clock_error_ppm"));
  TRY_DO(check(silence_ms > 0, "silence_ms"));
  TRY_DO(check(backoff_ms_min > 0 && backoff_ms_min <= backoff_ms_max, "backoff_ms_min"));
  TRY_DO(check(calls_max > 0, "calls_max"));
  TRY_DO(check(call_bytes_max > 0, "call_bytes_max"));
  return check(watch_bytes_max > 0, "watch_bytes_max");
}

Core::Core(const Options& options, int64_t now_ns)
    : options_(options),
      tickets_(options.calls_max, options.call_bytes_max),
      watches_(options.watch_bytes_max),
      locks_(options.locks_max, requests_, watches_),
      reads_(options, options.drops == Options::Drops::Told ? &output_.dropped : nullptr),
      leases_(options.clock_error_ppm),
      dial_at_ns_(now_ns),
      random_(0) {
  CHECK(options.validate().has_value());
  for (size_t i = 0; i < 8; ++i) random_ = random_ << 8 | options.seed[i];
}

// ---- every input ----

void Core::on_tick(int64_t now_ns) {
  advance(now_ns);
  finish(now_ns);
}

void Core::advance(int64_t now_ns) {
  advance_session(now_ns);
  requests_.advance(now_ns);
  while (const Tag tag = tickets_.overdue(now_ns))
    drop_call(tag, {Code::Timeout, "the deadline of the call has passed"}, now_ns);
  if (link_ == Link::Down && now_ns >= dial_at_ns_) {
    link_ = Link::Dialling;
    output_.connect = true;
  }
  if (now_ns >= silence_ends_ns())
    cut({Code::Unavailable, fmt::format("no answer for {} ms", options_.silence_ms)}, now_ns);
}

int64_t Core::next_wakeup_ns() const {
  int64_t next_ns = std::min(tickets_.next_ns(), requests_.next_ns());
  if (link_ == Link::Down) next_ns = std::min(next_ns, dial_at_ns_);
  next_ns = std::min(next_ns, silence_ends_ns());
  if (link_ == Link::Up && session_) next_ns = std::min(next_ns, leases_.next_beat_ns(reads_.need_lease()));
  if (state_ == State::Connected) next_ns = std::min(next_ns, leases_.ends_ns());
  if (state_ == State::Jeopardy) next_ns = std::min(next_ns, jeopardy_ends_ns_);
  return next_ns;
}

void Core::settle(int64_t now_ns) {
  while (!requests_.ended.empty() || !locks_.ends.empty()) {
    for (Requests::Ended& ended : std::exchange(requests_.ended, {})) route(std::move(ended), now_ns);
    for (Locks::End& end : std::exchange(locks_.ends, {}))
      end_call(end.tag, end.verdict, std::move(end.error), std::move(end.value));
  }
}

void Core::route(Requests::Ended ended, int64_t now_ns) {
  switch (ended.owner) {
    case Requests::Owner::Nobody: return;
    case Requests::Owner::Application:
      return end_call(ended.tag, ended.verdict, std::move(ended.error), value_of(std::move(ended.given)));
    case Requests::Owner::Open: return on_opened(ended, now_ns);
    case Requests::Owner::Close: return on_closed(std::move(ended), now_ns);
    case Requests::Owner::Lock: return locks_.on_ended(ended, session_);
    case Requests::Owner::Read: return on_read(std::move(ended), now_ns);
  }
}

void Core::flush(int64_t now_ns) {
  if (link_ != Link::Up) return;
  auto& out = output_.messages;
  if (dropped_) out.emplace_back(*std::exchange(dropped_, std::nullopt));
  if (session_) {
    // Without a running cache lease what is fetched now cannot be kept; what is fetched next can.
    if (reads_.waiting() && fetches() && leases_.may_cache() && !leases_.cache_runs(now_ns) && !leases_.in_flight())
      leases_.hurry();
    if (now_ns >= leases_.next_beat_ns(reads_.need_lease()))
      out.emplace_back(wire::KeepAlive{session_, leases_.send(now_ns), reads_.epoch()});
  }
  if (state_ == State::Opening) open_sent_ns_ = std::min(open_sent_ns_, now_ns);
  requests_.flush({now_ns, session_, fetches(), leases_.cache_runs(now_ns), reads_, out});
  watches_.flush(out);
}

// ---- the connection ----

void Core::on_connected(int64_t now_ns) {
  advance(now_ns);
  link_ = Link::Greeting;
  connected_ns_ = now_ns;
  output_.messages.emplace_back(wire::Hello{});
  finish(now_ns);
}

void Core::on_disconnected(const Error& error, int64_t now_ns) {
  advance(now_ns);
  if (link_ != Link::Down) disconnected(error, now_ns);
  finish(now_ns);
}

void Core::on_message(wire::MemberMessage message, int64_t now_ns) {
  advance(now_ns);
  const bool greets = std::holds_alternative<wire::Welcome>(message) || std::holds_alternative<wire::Goodbye>(message);
  if (link_ == Link::Greeting && !greets) {
    cut({Code::Invalid, "the member spoke before its Welcome"}, now_ns);
  } else if (link_ == Link::Greeting || link_ == Link::Up) {
    heard_ns_ = now_ns;
    std::visit([&](auto& m) { take(m, now_ns); }, message);
  }
  finish(now_ns);
}

void Core::take(wire::Welcome& welcome, int64_t now_ns) {
  if (link_ == Link::Up) return cut({Code::Invalid, "the member welcomed twice"}, now_ns);
  if (welcome.version < wire::kVersionMin || welcome.version > wire::kVersionMax)
    return cut({Code::Unsupported,
                fmt::format("member {} of cell '{}' speaks version {}, this program {} to {}", welcome.member,
                            printable(welcome.cell), welcome.version, wire::kVersionMin, wire::kVersionMax)},
               now_ns);
  link_ = Link::Up;
  connected_ns_ = now_ns;
  if (session_) leases_.hurry();
  output_.notices.emplace_back(LinkChanged{std::move(welcome), {}});
}

void Core::take(wire::Goodbye& goodbye, int64_t now_ns) { cut(std::move(goodbye.error), now_ns); }

void Core::cut(Error error, int64_t now_ns) {
  output_.disconnect = true;
  disconnected(error, now_ns);
}

void Core::disconnected(const Error& error, int64_t now_ns) {
  link_ = Link::Down;
  output_.messages.clear();  // as good as lost
  requests_.on_disconnected();
  watches_.on_disconnected();
  leases_.reconnected();
  dropped_.reset();
  output_.notices.emplace_back(LinkChanged{std::nullopt, error});
  dial_later(now_ns);
}

void Core::dial_later(int64_t now_ns) {
  const uint64_t delay_ms =
      std::min<uint64_t>(uint64_t{options_.backoff_ms_min} << std::min(failures_, 20u), options_.backoff_ms_max);
  if (failures_ < 20) ++failures_;
  const uint64_t half_ns = delay_ms * kNsPerMs / 2;
  dial_at_ns_ = now_ns + static_cast<int64_t>(half_ns + mix(random_) % (half_ns + 1));
}

/// When a member that answers nothing is left for another.
int64_t Core::silence_ends_ns() const {
  int64_t since_ns = kNever;
  if (link_ == Link::Greeting) since_ns = connected_ns_;
  if (link_ == Link::Up && state_ == State::Opening && open_sent_ns_ != kNever)
    since_ns = std::max(open_sent_ns_, connected_ns_);
  if (link_ == Link::Up && session_) since_ns = leases_.unanswered_since_ns();
  return since_ns == kNever ? kNever : since_ns + options_.silence_ms * kNsPerMs;
}

// ---- calls ----

void Core::not_taken(Tag tag, Verdict verdict, Error error) {
  output_.notices.emplace_back(CallEnded{tag, verdict, std::move(error), {}});
}

bool Core::admit(Tag tag, bool needs_session, size_t bytes, int64_t deadline_ns, int64_t now_ns) {
  if (deadline_ns <= now_ns) {
    not_taken(tag, Verdict::NotDone, {Code::Timeout, "the deadline of the call has passed"});
  } else if (needs_session && state_ == State::None) {
    not_taken(tag, Verdict::NotDone, {Code::Unavailable, "there is no session: open one"});
  } else if (needs_session && closing_) {
    not_taken(tag, Verdict::NotDone, {Code::Cancelled, "the session is being closed"});
  } else if (bytes > wire::kMessageBytesMax / 2) {
    not_taken(tag, Verdict::Refused,
              {Code::Invalid, fmt::format("a call of {} bytes, at most {}", bytes, wire::kMessageBytesMax / 2)});
  } else if (auto admitted = tickets_.admit(bytes); !admitted) {
    not_taken(tag, Verdict::Refused, std::move(admitted).error());
  } else {
    return true;
  }
  return false;
}

void Core::start(Tag tag, Payload payload, Requests::Owner owner, bool needs_session, int64_t deadline_ns,
                 int64_t now_ns) {
  advance(now_ns);
  const size_t bytes = bytes_of(payload);
  if (admit(tag, needs_session, bytes, deadline_ns, now_ns))
    tickets_.open(tag, {.kind = Tickets::Ticket::Kind::Request,
                        .deadline_ns = deadline_ns,
                        .bytes = bytes,
                        .request = requests_.add(std::move(payload), owner, tag, deadline_ns)});
  finish(now_ns);
}

void Core::command(Tag tag, Body body, int64_t deadline_ns, int64_t now_ns) {
  const bool allowed = std::holds_alternative<Txn>(body) || std::holds_alternative<ChangeSettings>(body) ||
                       std::holds_alternative<SetRules>(body);
  if (!allowed) return not_taken(tag, Verdict::Refused, {Code::Invalid, "sessions and locks have calls of their own"});
  start(tag, Numbered{std::move(body)}, Requests::Owner::Application, true, deadline_ns, now_ns);
}

void Core::command_once(Tag tag, Body body, int64_t deadline_ns, int64_t now_ns) {
  start(tag, Once{std::move(body)}, Requests::Owner::Application, false, deadline_ns, now_ns);
}

void Core::ask(Tag tag, wire::Ask::View view, wire::Query query, int64_t deadline_ns, int64_t now_ns) {
  start(tag, Asking{view, std::move(query)}, Requests::Owner::Application, false, deadline_ns, now_ns);
}

void Core::manage(Tag tag, Bytes request, int64_t deadline_ns, int64_t now_ns) {
  start(tag, Managing{std::move(request)}, Requests::Owner::Application, false, deadline_ns, now_ns);
}

void Core::read(Tag tag, ByteView path, int64_t deadline_ns, int64_t now_ns) {
  advance(now_ns);
  if (const Copy* copy = cached(path, now_ns)) {
    output_.notices.emplace_back(CallEnded{tag, Verdict::Done, {}, *copy});
  } else if (const size_t bytes = bytes_of(Reading{Bytes(path)}); admit(tag, false, bytes, deadline_ns, now_ns)) {
    tickets_.open(
        tag, {.kind = Tickets::Ticket::Kind::Read, .deadline_ns = deadline_ns, .bytes = bytes, .path = Bytes(path)});
    if (reads_.join(path, tag))
      reads_.requested(path, requests_.add(Reading{Bytes(path)}, Requests::Owner::Read, {}, kNever));
  }
  finish(now_ns);
}

void Core::on_read(Requests::Ended ended, int64_t now_ns) {
  const Bytes& path = std::get<Reading>(ended.payload).path;
  if (ended.verdict != Verdict::Done) {
    for (const Tag tag : reads_.refused(path)) end_call(tag, ended.verdict, ended.error);
    return;
  }
  wire::Result::Fetched fetched;
  if (auto* answered = std::get_if<wire::Result::Answered>(&ended.given)) {
    fetched.revision = answered->revision;
    fetched.file = std::move(std::get<Got>(answered->answer).file);
  } else {
    fetched = std::move(std::get<wire::Result::Fetched>(ended.given));
  }
  const auto arrived = reads_.arrived(path, fetched, leases_.runs(now_ns) && leases_.cache_runs(now_ns));
  for (const Tag tag : arrived.served) end_call(tag, Verdict::Done, {}, Copy{fetched.file, fetched.revision});
  if (arrived.again) reads_.requested(path, requests_.add(Reading{path}, Requests::Owner::Read, {}, kNever));
}

void Core::lock(Tag tag, ByteView path, LockMode mode, Lock::Wait wait, uint32_t delay_ms, int64_t deadline_ns,
                int64_t now_ns) {
  advance(now_ns);
  if (const size_t bytes = bytes_of(Reading{Bytes(path)}); admit(tag, true, bytes, deadline_ns, now_ns)) {
    auto taken = locks_.lock(path, {mode, wait, delay_ms, tag, deadline_ns});
    if (taken)
      tickets_.open(
          tag, {.kind = Tickets::Ticket::Kind::Lock, .deadline_ns = deadline_ns, .bytes = bytes, .path = Bytes(path)});
    else
      not_taken(tag, Verdict::Refused, std::move(taken).error());
  }
  finish(now_ns);
}

void Core::unlock(Tag tag, ByteView path, int64_t deadline_ns, int64_t now_ns) {
  advance(now_ns);
  if (const size_t bytes = bytes_of(Reading{Bytes(path)}); admit(tag, true, bytes, deadline_ns, now_ns)) {
    auto taken = locks_.unlock(path, tag);
    if (taken)
      tickets_.open(
          tag, {.kind = Tickets::Ticket::Kind::Lock, .deadline_ns = deadline_ns, .bytes = bytes, .path = Bytes(path)});
    else
      not_taken(tag, Verdict::Refused, std::move(taken).error());
  }
  finish(now_ns);
}

void Core::give_up(Tag tag, int64_t now_ns) {
  advance(now_ns);
  drop_call(tag, {Code::Cancelled, "the call was given up"}, now_ns);
  finish(now_ns);
}

void Core::drop_call(Tag tag, Error why, int64_t now_ns) {
  const auto ticket = tickets_.close(tag);
  if (!ticket) return;
  Requests::Abandoned abandoned;
  switch (ticket->kind) {
    case Tickets::Ticket::Kind::Request: abandoned = requests_.abandon(ticket->request, now_ns); break;
    case Tickets::Ticket::Kind::Lock: abandoned = locks_.give_up(ticket->path, tag, now_ns); break;
    case Tickets::Ticket::Kind::Read:
      if (const RequestId request = reads_.leave(ticket->path, tag)) abandoned = requests_.abandon(request, now_ns);
      break;
  }
  output_.notices.emplace_back(CallEnded{tag, abandoned.verdict, std::move(why), {}});
  if (closing_ && ticket->request && ticket->request == close_request_)
    end_session(SessionChanged::Change::Closed, {Code::Cancelled, "the session was closed"}, now_ns);
  // A member answers every call by its deadline: one that has said nothing at all since is not there any more.
  const int64_t since_ns = abandoned.unanswered_since_ns;
  if (link_ == Link::Up && since_ns != kNever && heard_ns_ <= since_ns &&
      now_ns - since_ns >= options_.silence_ms * kNsPerMs)
    cut({Code::Unavailable, "a call was not answered by its deadline"}, now_ns);
}

void Core::end_call(Tag tag, Verdict verdict, Error error, CallEnded::Value value) {
  if (!tickets_.close(tag)) return;
  output_.notices.emplace_back(CallEnded{tag, verdict, std::move(error), std::move(value)});
}

// ---- watches ----

void Core::watch(WatchTag tag, Bytes prefix, std::optional<Revision> after, SessionId about, int64_t now_ns) {
  advance(now_ns);
  CHECK(tag && !watches_.find(tag));
  if (watches_.of_application() >= options_.watches_max)
    output_.notices.emplace_back(WatchEnded{
        tag,
        {Code::Exhausted,
         fmt::format("{} watches, at most {} (watches_max)", watches_.of_application(), options_.watches_max)}});
  else
    watches_.add(tag, std::move(prefix), after, about);
  finish(now_ns);
}

void Core::unwatch(WatchTag tag, int64_t now_ns) {
  advance(now_ns);
  watches_.remove(watches_.find(tag));
  finish(now_ns);
}

void Core::taken(WatchTag tag, size_t bytes, int64_t now_ns) {
  advance(now_ns);
  watches_.taken(tag, bytes);
  finish(now_ns);
}

void Core::take(wire::Events& events, int64_t now_ns) {
  failures_ = 0;
  auto delivery = watches_.on_events(std::move(events));
  if (!delivery) return cut(std::move(delivery).error(), now_ns);
  if (!*delivery) return;
  Watches::Delivery& d = **delivery;
  if (d.tag)
    output_.notices.emplace_back(WatchEvents{d.tag, std::move(d.batch), d.bytes});
  else
    locks_.on_events(d.prefix, d.batch, session_);
}

void Core::take(wire::WatchRefused& refused, int64_t) {
  const auto watch = watches_.on_refused(refused.watch);
  if (!watch) return;
  if (watch->tag)
    output_.notices.emplace_back(WatchEnded{watch->tag, std::move(refused.error)});
  else
    locks_.on_watch_refused(watch->prefix, refused.error);
}

}  // namespace hailstone::cell::client
