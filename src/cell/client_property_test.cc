// Calls over lost connections, lost replies, refusals, late copies and expiry, on the real state machine: each call
// ends once, by its deadline, with the truth.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "cell/client_testing.h"
#include "cell/testing.h"

namespace hailstone::cell::client {
namespace {

constexpr uint32_t kLeaseMs = 3'000;

class World {
 public:
  World() : core_(options(), now_ns_) {
    cell_.checks_invariants_ = false;
    core_.open(now_ns_);
    drain();
    rival_ = cell_.open("bob");
  }

  void step(uint32_t r) {
    const uint32_t random = r / 32;
    switch (r % 32) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: return put(random);
      case 6: return random % 2 ? lock(random) : unlock(random);
      case 7: return rival(random);
      case 8:
      case 9: return pass_ms(random % 300);
      case 10: return pass_ms(random % 4'000);
      case 11:
      case 12:
      case 13: return connect(random % 4 != 0);
      case 14: return lose();
      case 15: return refuse(random);
      case 16:
      case 17:
      case 18: return answer_beat();
      case 19: return expire();
      case 20:
      case 21: return watch_goes_on();
      case 23:  // the reply is lost
        propose_unheard_ = true;
        propose(random);
        propose_unheard_ = false;
        return lose();
      case 22: return give_up(random);
      default: return propose(random);
    }
  }

  /// Everything that is still on its way arrives.
  void finish() {
    for (int i = 0; i < 200; ++i) {
      connect(true);
      answer_beat();
      while (!copies_.empty()) propose(0);
      watch_goes_on();
      pass_ms(100);
    }
    RC_ASSERT(calls_.empty());
    for (const auto& [path, verdict] : puts_) {
      const bool there = cell_.file(path).has_value();
      if (verdict == Verdict::Done) RC_ASSERT(there);
      if (verdict == Verdict::Refused || verdict == Verdict::NotDone) RC_ASSERT(!there);
    }
    for (const Bytes path : {"/l", "/m"}) {
      const auto holders = cell_.holders(path);
      const bool holds = std::ranges::find(holders, core_.session()) != holders.end();
      RC_ASSERT(holds == held_.contains(path));
    }
    if (core_.state() != Core::State::Connected) return;
    // No number is stuck.
    put(8'000);
    for (int i = 0; i < 10; ++i) propose(0);
    RC_ASSERT(last_verdict_ == Verdict::Done);
  }

 private:
  struct Copy {
    wire::Do message;
    uint64_t connection = 0;
    bool answered = false;
  };
  struct Call {
    int64_t deadline_ns = 0;
    Bytes put, lock, unlock;
  };

  static Options options() {
    Options options = test_options(Options::Caching::Off);
    options.lease_ms = kLeaseMs;
    options.grace_ms = 8'000;
    options.reopen = Options::Reopen::AtOnce;
    return options;
  }

  // ---- the application ----

  Tag called(Call call) {
    const Tag tag(++tags_);
    calls_.emplace(tag, std::move(call));
    return tag;
  }
  int64_t deadline(uint32_t random) const { return now_ns_ + (1 + random % 9'000) * kMs; }
  void put(uint32_t random) {
    const Bytes path = fmt::format("/f/{}", ++files_);
    const Tag tag = called({.deadline_ns = deadline(random), .put = path});
    core_.command(tag, Txn{{}, {Put{path, "x", Put::Mode::Create}}, {}}, deadline(random), now_ns_);
    drain();
  }
  void lock(uint32_t random) {
    const Bytes path = random % 3 ? "/l" : "/m";
    const Tag tag = called({.deadline_ns = deadline(random), .lock = path});
    core_.lock(tag, path, LockMode::Exclusive, random % 5 ? Lock::Wait::Queue : Lock::Wait::Try, 0, deadline(random),
               now_ns_);
    drain();
  }
  void unlock(uint32_t random) {
    const Bytes path = random % 3 ? "/l" : "/m";
    const Tag tag = called({.deadline_ns = deadline(random), .unlock = path});
    held_.erase(path);  // from now on it does not count on it
    core_.unlock(tag, path, deadline(random), now_ns_);
    drain();
  }
  void give_up(uint32_t random) {
    if (calls_.empty()) return;
    core_.give_up(std::next(calls_.begin(), random % calls_.size())->first, now_ns_);
    drain();
  }
  void rival(uint32_t random) {
    if (random % 2)
      cell_.in(rival_, Lock{random % 3 ? "/l" : "/m", LockMode::Exclusive, Lock::Wait::Queue, 0});
    else
      cell_.in(rival_, Unlock{random % 3 ? "/l" : "/m"});
  }

  // ---- the connection ----

  void connect(bool succeeds) {
    if (!dialling_) return;
    dialling_ = false;
    if (!succeeds) {
      core_.on_disconnected({Code::Io, "refused"}, now_ns_);
      return drain();
    }
    ++connection_;
    greeting_ = true;
    core_.on_connected(now_ns_);
    drain();
    greeting_ = false;
    up_ = true;
    say(wire::Welcome{.version = 1});
  }
  void lose() {
    if (!up_) return;
    up_ = false;
    beat_.reset();
    watches_.clear();
    core_.on_disconnected({Code::Io, "lost"}, now_ns_);
    drain();
  }
  void say(wire::MemberMessage message) {
    if (!up_) return;
    core_.on_message(std::move(message), now_ns_);
    drain();
  }

  void pass_ms(int64_t ms) {
    const int64_t end_ns = now_ns_ + ms * kMs;
    while (core_.next_wakeup_ns() <= end_ns) {
      now_ns_ = std::max(now_ns_, core_.next_wakeup_ns());
      core_.on_tick(now_ns_);
      drain();
    }
    now_ns_ = end_ns;
    core_.on_tick(now_ns_);
    drain();
  }

  void drain() {
    Output& out = core_.output();
    if (out.disconnect) {
      up_ = false;
      beat_.reset();
      watches_.clear();
    }
    dialling_ |= out.connect;
    for (auto& message : out.messages) {
      RC_ASSERT(std::holds_alternative<wire::Hello>(message) == greeting_);
      RC_ASSERT(greeting_ || up_);
      if (auto* command = std::get_if<wire::Do>(&message)) sent(*command);
      if (auto* beat = std::get_if<wire::KeepAlive>(&message)) beat_ = *beat;
      if (auto* watch = std::get_if<wire::Watch>(&message)) watches_[watch->watch] = *watch;
      if (auto* unwatch = std::get_if<wire::Unwatch>(&message)) watches_.erase(unwatch->watch);
    }
    for (auto& notice : out.notices) {
      if (const auto* ended = std::get_if<CallEnded>(&notice)) on_ended(*ended);
      if (const auto* lost = std::get_if<LockLost>(&notice)) held_.erase(lost->sequencer.path);
    }
    out.clear();
    for (const auto& [tag, call] : calls_) RC_ASSERT(call.deadline_ns > now_ns_);
  }

  void on_ended(const CallEnded& ended) {
    const auto call = calls_.find(ended.tag);
    RC_ASSERT(call != calls_.end());  // once
    if (!call->second.put.empty()) puts_[call->second.put] = ended.verdict;
    if (!call->second.lock.empty() && ended.verdict == Verdict::Done) held_.insert(call->second.lock);
    last_verdict_ = ended.verdict;
    calls_.erase(call);
  }

  void sent(const wire::Do& message) {
    copies_.push_back({message, connection_});
    if (!message.session) return;
    if (message.session != numbered_) {
      numbered_ = message.session;
      bodies_.clear();
      decided_.clear();
      got_ = {};
    }
    const uint64_t number = message.number.value;
    RC_ASSERT(number >= 1 && number <= bodies_.size() + 1);  // no gap
    if (number > bodies_.size()) bodies_.push_back(message.body);
    // The same command, or what fills its place, which it never leaves again.
    Body& body = bodies_[number - 1];
    RC_ASSERT(message.body == body || message.body == Body(Txn{}));
    body = message.body;
    RC_ASSERT(message.got < message.number && message.got >= got_);
    RC_ASSERT(number - message.got.value <= kWindow);
    got_ = message.got;
    for (uint64_t n = 1; n <= got_.value; ++n) RC_ASSERT(decided_.contains(n));
  }

  // ---- the cell ----

  bool session_lives(SessionId session) { return schema::read_session(cell_.database(), session)->has_value(); }

  void propose(uint32_t random) {
    if (copies_.empty()) return;
    // The master proposes a session's commands in the order of their numbers: those too early wait.
    for (size_t tries = 0; tries < copies_.size(); ++tries) {
      const size_t at = (random + tries) % copies_.size();
      const wire::Do& message = copies_[at].message;
      if (message.session) {
        const auto session = *schema::read_session(cell_.database(), message.session);
        if (session && message.number > session->last.next()) continue;
      }
      const Copy copy = std::move(copies_[at]);
      copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(at));
      const Reply reply = cell_.apply({.time = cell_.now_,
                                       .principal = "ann",
                                       .session = copy.message.session,
                                       .number = copy.message.number,
                                       .got = copy.message.got,
                                       .body = copy.message.body});
      if (std::holds_alternative<OpenSession>(copy.message.body)) renewed_ns_ = now_ns_;
      if (!up_ || copy.connection != connection_ || copy.answered || propose_unheard_) return;
      if (copy.message.session) decided_.insert(copy.message.number.value);
      return say(wire::Result{copy.message.call, reply});
    }
    // All wait for one that will not come: the member says so by their deadlines.
    std::erase_if(copies_, [&](const Copy& copy) { return copy.answered || copy.connection != connection_ || !up_; });
    refuse(0);
  }

  /// The member's word on one copy, which is then gone (NotDone) or may go on.
  void refuse(uint32_t random) {
    for (size_t i = 0; i < copies_.size(); ++i) {
      const size_t at = (random + i) % copies_.size();
      Copy& copy = copies_[at];
      if (copy.answered || copy.connection != connection_ || !up_) continue;
      const wire::CallId call = copy.message.call;
      const bool unknown = random / 7 % 2;
      if (unknown)
        copy.answered = true;
      else
        copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(at));
      const Code code = random / 3 % 2 ? Code::Unavailable : Code::Exhausted;
      using Refused = wire::Result::Refused;
      return say(wire::Result{call, Refused{{code, "no"}, unknown ? Refused::Fate::Unknown : Refused::Fate::NotDone}});
    }
  }

  void answer_beat() {
    if (!beat_ || !up_) return;
    const wire::KeepAlive beat = *std::exchange(beat_, std::nullopt);
    const bool lives = session_lives(beat.session);
    if (lives) renewed_ns_ = now_ns_;
    say(wire::Lease{beat.session, beat.beat, wire::Epoch(1), lives ? kLeaseMs : 0, 0});
  }
  void expire() {
    if (numbered_ && now_ns_ - renewed_ns_ > kLeaseMs * kMs * 101 / 100) cell_.expire({numbered_});
  }

  void watch_goes_on() {
    for (auto& [id, watch] : std::map(watches_)) {
      auto batch = *events_after(cell_.database(), watch.after.value_or(Revision()), watch.prefix, 10);
      if (batch.upto == watch.after && !batch.compacted) continue;
      std::erase_if(batch.events, [&](const auto& item) { return item.event.session != watch.about; });
      watches_[id].after = batch.upto;
      say(wire::Events{id, batch});
    }
  }

  TestCell cell_;
  int64_t now_ns_ = 1'000'000 * kMs;
  Core core_;
  bool dialling_ = false, up_ = false, greeting_ = false, propose_unheard_ = false;
  uint64_t connection_ = 0, tags_ = 0, files_ = 0;
  std::vector<Copy> copies_;
  std::optional<wire::KeepAlive> beat_;
  std::map<wire::WatchId, wire::Watch> watches_;
  int64_t renewed_ns_ = 0;
  std::map<Tag, Call> calls_;
  std::map<Bytes, Verdict> puts_;
  std::set<Bytes> held_;
  std::optional<Verdict> last_verdict_;
  SessionId numbered_, rival_;
  std::vector<Body> bodies_;
  std::set<uint64_t> decided_;  // numbers whose reply the client was given
  CommandNumber got_;
};

RC_GTEST_PROP(ClientProperty, EachCallEndsOnceByItsDeadlineWithTheTruth, ()) {
  const auto steps =
      *rc::gen::resize(100, rc::gen::container<std::vector<uint32_t>>(300, rc::gen::inRange<uint32_t>(0, 1u << 30)));
  World world;
  for (const uint32_t step : steps) world.step(step);
  world.finish();
}

}  // namespace
}  // namespace hailstone::cell::client
