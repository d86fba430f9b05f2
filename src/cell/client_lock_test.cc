// Locks: granted, queued, given up, lost; what is left in the cell is always cleared up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/client_testing.h"

namespace hailstone::cell::client {
namespace {

using Outcome = LockReply::Outcome;

template <class T>
T body_of(const wire::Do& message) {
  CHECK(std::holds_alternative<T>(message.body));
  return std::get<T>(message.body);
}

EventBatch granted_to(SessionId session, const Bytes& path, uint64_t revision, uint64_t generation) {
  return {.events = {{Revision(revision),
                      {.kind = Event::Kind::LockAcquired,
                       .path = path,
                       .session = session,
                       .lock_generation = LockGeneration(generation)}}},
          .upto = Revision(revision)};
}

class Locking : public Scripted {
 public:
  Locking() : Scripted(test_options(Options::Caching::Off)) {
    core.open(now_ns);
    connect();
    reply(next<wire::Do>().call, {.outcome = Opened{SessionId(5), 9'000, false}});
    answer_beat();
    notices.clear();
  }
  void beat() {
    while (auto message = maybe_next<wire::KeepAlive>()) answer(*message);
  }
  Tag queued(const Bytes& path, int64_t timeout_ms = 1'000) {
    const Tag tag = lock(path, Lock::Wait::Queue, timeout_ms);
    reply(next<wire::Do>().call, lock_reply(Outcome::Queued, 10));
    return tag;
  }
  Tag held(const Bytes& path, uint64_t generation = 17) {
    const Tag tag = lock(path);
    reply(next<wire::Do>().call, lock_reply(Outcome::Granted, 10, generation));
    return tag;
  }
};

TEST(ClientLock, GrantedAtOnceGivesTheSequencer) {
  Locking c;
  const Tag tag = c.held("/l");
  EXPECT_EQ(std::get<Sequencer>(c.end_of(tag)->value), (Sequencer{"/l", LockMode::Exclusive, LockGeneration(17)}));
}

TEST(ClientLock, BusyIsRefusedForNow) {
  Locking c;
  const Tag tag = c.lock("/l", Lock::Wait::Try);
  c.reply(c.next<wire::Do>().call, lock_reply(Outcome::Busy));
  EXPECT_EQ(c.verdict(tag), Verdict::Refused);
  EXPECT_EQ(c.end_of(tag)->error.code, Code::Unavailable);
  c.lock("/l", Lock::Wait::Try);
  EXPECT_TRUE(c.maybe_next<wire::Do>());
}

TEST(ClientLock, QueuedWaitsForItsGrantBehindTheRevisionOfTheReply) {
  Locking c;
  const Tag tag = c.queued("/l");
  const auto watch = c.next<wire::Watch>();
  EXPECT_EQ(watch.prefix, "/l");
  EXPECT_EQ(watch.after, Revision(10));
  EXPECT_EQ(watch.about, SessionId(5));
  c.say(wire::Events{watch.watch, granted_to(SessionId(5), "/l/deeper", 11, 20)});
  c.say(wire::Events{watch.watch, granted_to(SessionId(6), "/l", 12, 21)});
  EXPECT_FALSE(c.verdict(tag));
  c.say(wire::Events{watch.watch, granted_to(SessionId(5), "/l", 13, 22)});
  EXPECT_EQ(std::get<Sequencer>(c.end_of(tag)->value).generation, LockGeneration(22));
  EXPECT_EQ(c.next<wire::Unwatch>().watch, watch.watch);
}

TEST(ClientLock, TheWaitGoesOnOverConnections) {
  Locking c;
  const Tag tag = c.queued("/l");
  const auto watch = c.next<wire::Watch>();
  c.say(wire::Events{watch.watch, {.upto = Revision(12)}});
  c.lose();
  c.connect();
  const auto again = c.next<wire::Watch>();
  EXPECT_EQ(again.after, Revision(12));
  EXPECT_NE(again.watch, watch.watch);
  c.say(wire::Events{again.watch, granted_to(SessionId(5), "/l", 13, 22)});
  EXPECT_EQ(c.verdict(tag), Verdict::Done);
}

TEST(ClientLock, WhenTheHistoryIsCompactedTheLockIsAskedAgain) {
  Locking c;
  const Tag tag = c.queued("/l");
  c.say(wire::Events{c.next<wire::Watch>().watch, {.compacted = Revision(50)}});
  const auto again = c.next<wire::Do>();
  EXPECT_EQ(body_of<Lock>(again).path, "/l");
  c.reply(again.call, lock_reply(Outcome::Queued, 60));
  EXPECT_EQ(c.next<wire::Watch>().after, Revision(60));
  EXPECT_FALSE(c.verdict(tag));
}

TEST(ClientLock, GivenUpInTheQueueItsPlaceIsGivenUp) {
  Locking c;
  const Tag tag = c.queued("/l");
  c.next<wire::Watch>();
  c.pass_ms(1'000);
  EXPECT_EQ(c.verdict(tag), Verdict::NotDone);
  EXPECT_TRUE(c.maybe_next<wire::Unwatch>());
  const auto cancel = c.next<wire::Do>();
  EXPECT_EQ(body_of<Cancel>(cancel).path, "/l");
  c.reply(cancel.call, lock_reply(Outcome::Cancelled));
  EXPECT_TRUE(c.sent.empty());
}

TEST(ClientLock, AGrantThatCameBeforeTheCancelIsGivenBack) {
  Locking c;
  c.queued("/l");
  c.pass_ms(1'000);
  c.reply(c.next<wire::Do>().call, lock_reply(Outcome::Granted, 30, 40));
  const auto unlock = c.next<wire::Do>();
  EXPECT_EQ(body_of<Unlock>(unlock).path, "/l");
  c.reply(unlock.call, {});
  EXPECT_EQ(c.noticed<CallEnded>().size(), 1u);
}

TEST(ClientLock, GivenUpBeforeTheReplyIsCancelledBehindIt) {
  Locking c;
  const Tag tag = c.lock("/l", Lock::Wait::Queue, 100);
  const auto lock = c.next<wire::Do>();
  c.pass_ms(100);
  EXPECT_EQ(c.verdict(tag), Verdict::NotDone);
  const auto cancel = c.next<wire::Do>();
  EXPECT_EQ(cancel.number, lock.number.next());
  body_of<Cancel>(cancel);
  c.reply(lock.call, lock_reply(Outcome::Granted, 30, 40));  // too late to be told
  EXPECT_TRUE(c.sent.empty());
  c.reply(cancel.call, lock_reply(Outcome::Granted, 30, 40));
  body_of<Unlock>(c.next<wire::Do>());
}

TEST(ClientLock, NeverSentLeavesNothingBehind) {
  Locking c;
  c.lose();
  const Tag tag = c.lock("/l", Lock::Wait::Queue, 100);
  c.pass_ms(100);
  EXPECT_EQ(c.verdict(tag), Verdict::NotDone);
  c.connect();
  EXPECT_FALSE(c.maybe_next<wire::Do>());
}

TEST(ClientLock, AskedAgainAndNotSentThePlaceIsGivenUpAllTheSame) {
  Locking c;
  c.queued("/l");
  for (int i = 0; i < 32; ++i) c.put("/a", 60'000);  // no room for more
  c.say(wire::Events{c.next<wire::Watch>().watch, {.compacted = Revision(50)}});
  c.pass_ms(1'000);
  std::vector<wire::Do> commands;
  while (auto command = c.maybe_next<wire::Do>()) commands.push_back(*command);
  for (const auto& command : commands) c.reply(command.call, txn_reply());
  body_of<Cancel>(c.next<wire::Do>());
}

TEST(ClientLock, CancelAndUnlockInsist) {
  Locking c;
  c.queued("/l");
  c.pass_ms(1'000);
  c.refuse(c.next<wire::Do>().call, Code::Exhausted, wire::Result::Refused::Fate::NotDone);
  c.pass_ms(10);
  body_of<Cancel>(c.next<wire::Do>());
  c.lose();
  c.connect();
  body_of<Cancel>(c.next<wire::Do>());
}

TEST(ClientLock, APathIsLockedOnceAtATime) {
  Locking c;
  c.held("/l");
  const Tag again = c.lock("/l");
  EXPECT_EQ(c.end_of(again)->error.code, Code::Conflict);
  c.queued("/m");
  EXPECT_EQ(c.verdict(c.lock("/m")), Verdict::Refused);
}

TEST(ClientLock, AnotherLockWaitsUntilTheOldOneIsCleared) {
  Locking c;
  c.queued("/l");
  c.pass_ms(1'000);
  const auto cancel = c.next<wire::Do>();
  const Tag again = c.lock("/l");
  EXPECT_FALSE(c.maybe_next<wire::Do>());
  c.reply(cancel.call, lock_reply(Outcome::Cancelled));
  const auto lock = c.next<wire::Do>();
  body_of<Lock>(lock);
  c.reply(lock.call, lock_reply(Outcome::Granted, 30, 41));
  EXPECT_EQ(c.verdict(again), Verdict::Done);
}

TEST(ClientLock, UnlockIsCarriedOutWhateverItsDeadline) {
  Locking c;
  c.held("/l");
  c.lose();
  const Tag unlock = c.unlock("/l", 100);
  c.pass_ms(100);
  EXPECT_EQ(c.verdict(unlock), Verdict::Unknown);
  c.connect();
  const auto sent = c.next<wire::Do>();
  body_of<Unlock>(sent);
  c.reply(sent.call, {});
  EXPECT_FALSE(c.verdict(c.lock("/l")));
}

TEST(ClientLock, UnlockingWhatIsNotHeldIsRefusedHere) {
  Locking c;
  const Tag tag = c.unlock("/l");
  EXPECT_EQ(c.end_of(tag)->error.code, Code::NotFound);
  EXPECT_TRUE(c.sent.empty());
}

TEST(ClientLock, AWatchThatIsRefusedEndsTheWait) {
  Locking c;
  const Tag tag = c.queued("/l");
  c.say(wire::WatchRefused{c.next<wire::Watch>().watch, {Code::Denied, "no"}});
  EXPECT_EQ(c.verdict(tag), Verdict::Refused);
  body_of<Cancel>(c.next<wire::Do>());
}

TEST(ClientLock, TheSessionsEndEndsAll) {
  Locking c;
  c.held("/held");
  const Tag waits = c.queued("/waits", 60'000);
  c.pass_ms(3'000);
  c.answer_beat(0);
  EXPECT_EQ(c.verdict(waits), Verdict::NotDone);
  ASSERT_EQ(c.noticed<LockLost>().size(), 1u);
  EXPECT_EQ(c.noticed<LockLost>()[0].sequencer.path, "/held");
  c.core.open(c.now_ns);
  c.drain();
  c.reply(c.next<wire::Do>().call, {.outcome = Opened{SessionId(6), 9'000, false}});
  c.lock("/held");
  EXPECT_EQ(c.next<wire::Do>().session, SessionId(6));
  c.lose();
  c.connect();
  EXPECT_FALSE(c.maybe_next<wire::Watch>());
}

}  // namespace
}  // namespace hailstone::cell::client
