// A client core with a scripted member at its other end: for tests.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "cell/client.h"

namespace hailstone::cell::client {

inline constexpr int64_t kMs = kNsPerMs;

inline Options test_options(Options::Caching caching = Options::Caching::On) {
  Options options;
  options.seed[0] = 7;
  options.lease_ms = 9'000;
  options.grace_ms = 20'000;
  options.caching = caching;
  return options;
}

/// Plays the driver: keeps what the core says until the test looks at it.
class Scripted {
 public:
  explicit Scripted(const Options& options = test_options()) : core(options, now_ns) {}

  void pass_ms(int64_t ms) { pass_ns(ms * kMs); }
  /// Ticks when the core asks for it, as a driver does.
  void pass_ns(int64_t ns) {
    const int64_t end_ns = now_ns + ns;
    while (core.next_wakeup_ns() <= end_ns) {
      const int64_t due_ns = std::max(core.next_wakeup_ns(), now_ns);
      CHECK(++wakeups_at_once_ < 1'000 || due_ns > now_ns);
      if (due_ns > now_ns) wakeups_at_once_ = 0;
      now_ns = due_ns;
      core.on_tick(now_ns);
      drain();
    }
    now_ns = end_ns;
    wakeups_at_once_ = 0;
    core.on_tick(now_ns);
    drain();
  }
  /// The clock leaps without a tick, as for a process that was stopped.
  void sleep_ms(int64_t ms) { now_ns += ms * kMs; }

  void say(wire::MemberMessage message) {
    core.on_message(std::move(message), now_ns);
    drain();
  }
  void connect() {
    while (!wants_connection) pass_ms(1);
    wants_connection = false;
    core.on_connected(now_ns);
    drain();
    CHECK(std::holds_alternative<wire::Hello>(sent.back()));
    sent.pop_back();
    say(wire::Welcome{.version = 1, .member = 1, .cell = "c", .principal = "ann"});
  }
  void lose() {
    core.on_disconnected({Code::Io, "lost"}, now_ns);
    drain();
    sent.clear();
  }
  /// Connected, with session 5, `lease_ms` and the first keep-alives answered.
  void start(uint32_t lease_ms = 9'000, uint32_t cache_ms = 2'000) {
    core.open(now_ns);
    connect();
    const auto open = next<wire::Do>();
    CHECK(std::holds_alternative<OpenSession>(open.body));
    reply(open.call, {.outcome = Opened{SessionId(5), lease_ms, true}});
    answer_beat(lease_ms, cache_ms);  // says that it has heard of no epoch
    answer_beat(lease_ms, cache_ms);
    CHECK(change() == SessionChanged::Change::Opened);
    notices.clear();
  }

  /// The oldest message of that type that was sent and not looked at.
  template <class Message>
  std::optional<Message> maybe_next() {
    const auto at = std::ranges::find_if(sent, [](const auto& m) { return std::holds_alternative<Message>(m); });
    if (at == sent.end()) return std::nullopt;
    Message message = std::get<Message>(std::move(*at));
    sent.erase(at);
    return message;
  }
  template <class Message>
  Message next() {
    auto message = maybe_next<Message>();
    CHECK(message.has_value());
    return *std::move(message);
  }

  void reply(wire::CallId call, Reply reply) { say(wire::Result{call, std::move(reply)}); }
  void refuse(wire::CallId call, Code code, wire::Result::Refused::Fate fate) {
    say(wire::Result{call, wire::Result::Refused{{code, "refused"}, fate}});
  }
  void answer_beat(uint32_t lease_ms = 9'000, uint32_t cache_ms = 2'000) {
    const auto beat = next<wire::KeepAlive>();
    answer(beat, lease_ms, cache_ms);
  }
  void answer(const wire::KeepAlive& beat, uint32_t lease_ms = 9'000, uint32_t cache_ms = 2'000) {
    say(wire::Lease{beat.session, beat.beat, epoch, lease_ms, cache_ms});
  }

  Tag put(const Bytes& path, int64_t timeout_ms = 5'000) {
    const Tag tag = new_tag();
    core.command(tag, Txn{{}, {Put{path, "x"}}, {}}, now_ns + timeout_ms * kMs, now_ns);
    drain();
    return tag;
  }
  Tag read(const Bytes& path, int64_t timeout_ms = 5'000) {
    const Tag tag = new_tag();
    core.read(tag, path, now_ns + timeout_ms * kMs, now_ns);
    drain();
    return tag;
  }
  Tag lock(const Bytes& path, Lock::Wait wait = Lock::Wait::Queue, int64_t timeout_ms = 5'000) {
    const Tag tag = new_tag();
    core.lock(tag, path, LockMode::Exclusive, wait, 0, now_ns + timeout_ms * kMs, now_ns);
    drain();
    return tag;
  }
  Tag unlock(const Bytes& path, int64_t timeout_ms = 5'000) {
    const Tag tag = new_tag();
    core.unlock(tag, path, now_ns + timeout_ms * kMs, now_ns);
    drain();
    return tag;
  }
  Tag new_tag() { return last_tag = last_tag.next(); }

  /// How a call ended, if it has.
  const CallEnded* end_of(Tag tag) const {
    for (const Notice& notice : notices)
      if (const auto* ended = std::get_if<CallEnded>(&notice); ended && ended->tag == tag) return ended;
    return nullptr;
  }
  std::optional<Verdict> verdict(Tag tag) const {
    const auto* ended = end_of(tag);
    return ended ? std::optional(ended->verdict) : std::nullopt;
  }
  /// The newest.
  std::optional<SessionChanged::Change> change() const {
    std::optional<SessionChanged::Change> newest;
    for (const Notice& notice : notices)
      if (const auto* changed = std::get_if<SessionChanged>(&notice)) newest = changed->change;
    return newest;
  }
  template <class T>
  std::vector<T> noticed() const {
    std::vector<T> out;
    for (const Notice& notice : notices)
      if (const auto* found = std::get_if<T>(&notice)) out.push_back(*found);
    return out;
  }

  void drain() {
    Output& out = core.output();
    if (out.disconnect) ++cuts;
    for (auto& message : out.messages) sent.push_back(std::move(message));
    for (auto& notice : out.notices) notices.push_back(std::move(notice));
    wants_connection |= out.connect;
    if (out.disconnect) sent.clear();
    out.clear();
  }

  int64_t now_ns = 1'000'000 * kMs;
  Core core;
  std::deque<wire::ClientMessage> sent;
  std::vector<Notice> notices;
  bool wants_connection = false;
  int cuts = 0;
  wire::Epoch epoch{1};
  Tag last_tag;

 private:
  int wakeups_at_once_ = 0;
};

inline Reply txn_reply(uint64_t revision = 1) {
  return {.refused = {}, .revision = Revision(revision), .time = {}, .outcome = TxnReply{}};
}
inline Reply lock_reply(LockReply::Outcome outcome, uint64_t revision = 1, uint64_t generation = 0) {
  return {.refused = {},
          .revision = Revision(revision),
          .time = {},
          .outcome = LockReply{outcome, LockGeneration(generation)}};
}
inline Reply refusal_reply(Code code) {
  return {.refused = Error{code, "no"}, .revision = {}, .time = {}, .outcome = {}};
}

}  // namespace hailstone::cell::client
