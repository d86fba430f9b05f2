// The session's part of the client core: opening, leases, jeopardy, the end.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "cell/client.h"

namespace hailstone::cell::client {

void Core::open(int64_t now_ns) {
  advance(now_ns);
  if (state_ == State::None) ask_for_session();
  finish(now_ns);
}

void Core::ask_for_session() {
  state_ = State::Opening;
  Bytes material(options_.seed.begin(), options_.seed.end());
  Encoder(material).varint(++nonces_);
  Nonce nonce{};
  std::memcpy(nonce.data(), sha256(material).bytes.data(), nonce.size());
  open_sent_ns_ = kNever;
  open_request_ = requests_.add(Opening{{nonce, options_.lease_ms, options_.caching == Options::Caching::On}},
                                Requests::Owner::Open, {}, kNever);
}

void Core::on_opened(const Requests::Ended& ended, int64_t now_ns) {
  if (state_ != State::Opening) return;
  open_request_ = {};
  const auto* reply = std::get_if<Reply>(&ended.given);
  const auto* opened = reply ? std::get_if<Opened>(&reply->outcome) : nullptr;
  if (ended.verdict != Verdict::Done || !opened || !opened->session) {
    const Error why =
        ended.verdict == Verdict::Done ? Error{Code::Invalid, "the cell's reply names no session"} : ended.error;
    return end_session(SessionChanged::Change::Refused, why, now_ns);
  }
  state_ = State::Connected;
  session_ = opened->session;
  leases_.begin(open_sent_ns_, opened->lease_ms);
  leases_.hurry();  // to hear of the epoch and of the cache lease
  output_.notices.emplace_back(SessionChanged{SessionChanged::Change::Opened, session_, {}});
  advance_session(now_ns);
}

void Core::close(Tag tag, int64_t deadline_ns, int64_t now_ns) {
  advance(now_ns);
  if (state_ == State::Opening && !closing_ && deadline_ns > now_ns) {
    // If the cell opens one all the same it ends by its lease.
    output_.notices.emplace_back(CallEnded{tag, Verdict::Done, {}, {}});
    end_session(SessionChanged::Change::Closed, {Code::Cancelled, "the session was closed"}, now_ns);
  } else if (admit(tag, true, 0, deadline_ns, now_ns)) {
    close_request_ = requests_.add(Numbered{CloseSession{}}, Requests::Owner::Close, tag, deadline_ns);
    tickets_.open(tag, {.kind = Tickets::Ticket::Kind::Request, .deadline_ns = deadline_ns, .request = close_request_});
    closing_ = true;
    reads_.lapse();
  }
  finish(now_ns);
}

void Core::on_closed(Requests::Ended ended, int64_t now_ns) {
  const bool gone = ended.verdict == Verdict::Done || ended.error.code == Code::NotFound;
  end_call(ended.tag, gone ? Verdict::Done : ended.verdict, gone ? Error{} : std::move(ended.error));
  if (session_) end_session(SessionChanged::Change::Closed, {Code::Cancelled, "the session was closed"}, now_ns);
}

void Core::end_session(SessionChanged::Change change, const Error& why, int64_t now_ns) {
  const SessionId session = session_;
  reads_.session_ended();
  leases_.end();
  state_ = State::None;
  session_ = {};
  closing_ = false;
  close_request_ = {};
  dropped_.reset();
  if (open_request_) requests_.abandon(open_request_, now_ns);
  open_request_ = {};
  for (Sequencer& sequencer : locks_.session_ended(why))
    if (change == SessionChanged::Change::Expired) output_.notices.emplace_back(LockLost{std::move(sequencer)});
  requests_.session_ended(why);
  settle(now_ns);
  output_.notices.emplace_back(SessionChanged{change, session, why});
  if (change == SessionChanged::Change::Expired && options_.reopen == Options::Reopen::AtOnce) ask_for_session();
}

void Core::advance_session(int64_t now_ns) {
  if (leases_.cache_ends_ns() != 0 && !(leases_.cache_runs(now_ns) && leases_.runs(now_ns))) {
    reads_.lapse();
    leases_.end_cache();
  }
  if (state_ == State::Connected && !leases_.runs(now_ns)) {
    reads_.lapse();
    state_ = State::Jeopardy;
    jeopardy_ends_ns_ = leases_.ends_ns() + options_.grace_ms * kNsPerMs;
    output_.notices.emplace_back(SessionChanged{SessionChanged::Change::Jeopardy, session_, {}});
  }
  if (state_ == State::Jeopardy && now_ns >= jeopardy_ends_ns_)
    end_session(SessionChanged::Change::Expired,
                {Code::Timeout, fmt::format("session {}: no master could be asked before its lease and {} ms of grace "
                                            "were over",
                                            session_.value, options_.grace_ms)},
                now_ns);
}

/// Before all else that a message says.
void Core::hear(wire::Epoch epoch) {
  if (!reads_.heard(epoch)) return;
  leases_.end_cache();
  // A new master holds writers until it knows that nothing older is cached.
  if (session_ && options_.caching == Options::Caching::On) leases_.hurry();
}

void Core::take(wire::Result& result, int64_t now_ns) {
  failures_ = 0;
  if (const auto* fetched = std::get_if<wire::Result::Fetched>(&result.result)) hear(fetched->epoch);
  const uint64_t call = result.call.value;
  switch (requests_.on_result(std::move(result), now_ns, leases_.runs(now_ns), leases_.last_beat())) {
    case Requests::Taken::Yes: return;
    case Requests::Taken::Doubtful: return leases_.hurry();
    case Requests::Taken::Nonsense:
      return cut({Code::Invalid, fmt::format("call {}: an answer of another kind than was asked", call)}, now_ns);
  }
}

void Core::take(wire::Lease& lease, int64_t now_ns) {
  failures_ = 0;
  hear(lease.epoch);
  // What a deposed master says of leases may be wrong.
  if (!session_ || lease.session != session_ || lease.epoch < reads_.epoch()) return;
  if (lease.lease_ms == 0)
    return end_session(SessionChanged::Change::Expired,
                       {Code::NotFound, fmt::format("session {}: the cell does not have it any more", session_.value)},
                       now_ns);
  if (!leases_.answered(lease)) return;
  requests_.settle_doubts(lease.beat);
  if (state_ != State::Jeopardy || !leases_.runs(now_ns)) return;
  state_ = State::Connected;
  output_.notices.emplace_back(SessionChanged{SessionChanged::Change::Safe, session_, {}});
}

void Core::take(wire::Invalidate& invalidate, int64_t) {
  hear(invalidate.epoch);
  if (!session_ || invalidate.session != session_ || invalidate.epoch < reads_.epoch()) return;
  dropped_ = reads_.invalidate(invalidate);
}

}  // namespace hailstone::cell::client
