// The session as the client sees it: opening, leases with drift, jeopardy, safe, expired; connections and back-off.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/client_testing.h"

namespace hailstone::cell::client {
namespace {

using Change = SessionChanged::Change;
using Fate = wire::Result::Refused::Fate;
using State = Core::State;

TEST(ClientLink, SaysHelloFirstAndNothingElseBeforeTheWelcome) {
  Scripted c;
  c.core.open(c.now_ns);
  const Tag early = c.read("/a");
  c.pass_ms(0);
  ASSERT_TRUE(c.wants_connection);
  EXPECT_TRUE(c.sent.empty());
  c.core.on_connected(c.now_ns);
  c.drain();
  c.pass_ms(100);
  ASSERT_EQ(c.sent.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<wire::Hello>(c.sent[0]));
  c.say(wire::Welcome{.version = 1});
  EXPECT_EQ(c.sent.size(), 3u);
  EXPECT_FALSE(c.verdict(early));
}

TEST(ClientLink, BacksOffFromTenMillisecondsToASecondHalfRandom) {
  Scripted c;
  c.pass_ms(0);
  for (const int64_t whole_ms : {10, 20, 40, 80, 160, 320, 640, 1000, 1000}) {
    ASSERT_TRUE(c.wants_connection);
    c.wants_connection = false;
    c.lose();
    const int64_t delay_ns = c.core.next_wakeup_ns() - c.now_ns;
    EXPECT_GE(delay_ns, whole_ms * kMs / 2);
    EXPECT_LE(delay_ns, whole_ms * kMs);
    c.pass_ns(delay_ns);
  }
}

TEST(ClientLink, AnAnswerEndsTheBackOff) {
  Scripted c;
  c.pass_ms(0);
  for (int i = 0; i < 8; ++i) {
    c.lose();
    c.pass_ms(1'000);
  }
  c.start();
  c.lose();
  EXPECT_LE(c.core.next_wakeup_ns() - c.now_ns, 10 * kMs);
}

TEST(ClientLink, AWelcomeAloneDoesNotEndTheBackOff) {
  Scripted c;
  for (int i = 0; i < 6; ++i) {
    c.connect();
    c.say(wire::Goodbye{{Code::Unavailable, "full"}});
  }
  EXPECT_EQ(c.cuts, 6);
  EXPECT_GE(c.core.next_wakeup_ns() - c.now_ns, 160 * kMs);
}

TEST(ClientLink, LeavesAMemberThatDoesNotAnswer) {
  Scripted c;
  c.start();
  c.pass_ms(3'000 + 3'999);
  EXPECT_EQ(c.cuts, 0);
  c.pass_ms(1);
  EXPECT_EQ(c.cuts, 1);
  c.pass_ms(10);
  EXPECT_TRUE(c.wants_connection);
}

TEST(ClientLink, LeavesAMemberOfAnotherVersionOrOutOfTurn) {
  Scripted c;
  c.pass_ms(0);
  c.core.on_connected(c.now_ns);
  c.say(wire::Welcome{.version = 9});
  EXPECT_EQ(c.cuts, 1);
  c.pass_ms(20);
  c.core.on_connected(c.now_ns);
  c.say(wire::Lease{});
  EXPECT_EQ(c.cuts, 2);
}

TEST(ClientLink, NothingOfAConnectionThatWasCutIsTaken) {
  Scripted c;
  c.start();
  c.put("/a");
  const auto command = c.next<wire::Do>();
  c.say(wire::Goodbye{{Code::Unavailable, "stopping"}});
  c.reply(command.call, txn_reply());
  EXPECT_TRUE(c.noticed<CallEnded>().empty());
}

TEST(ClientSession, OpensOnceByItsNonceOverConnections) {
  Scripted c;
  c.core.open(c.now_ns);
  c.connect();
  const auto first = std::get<OpenSession>(c.next<wire::Do>().body);
  EXPECT_TRUE(first.caching);
  c.lose();
  c.connect();
  const auto again = c.next<wire::Do>();
  EXPECT_EQ(std::get<OpenSession>(again.body), first);
  c.refuse(again.call, Code::Unavailable, Fate::Unknown);
  c.pass_ms(20);
  const auto third = c.next<wire::Do>();
  EXPECT_EQ(std::get<OpenSession>(third.body), first);
  c.reply(third.call, {.outcome = Opened{SessionId(5), 9'000, true}});
  EXPECT_EQ(c.core.state(), State::Connected);
  EXPECT_EQ(c.core.session(), SessionId(5));
}

TEST(ClientSession, EachSessionHasANonceOfItsOwn) {
  Scripted c;
  c.start();
  c.say(wire::Lease{.session = SessionId(5), .beat = wire::Beat(1), .epoch = wire::Epoch(1), .lease_ms = 0});
  c.core.open(c.now_ns);
  c.drain();
  Scripted other;
  other.core.open(other.now_ns);
  other.connect();
  EXPECT_NE(std::get<OpenSession>(c.next<wire::Do>().body).nonce,
            std::get<OpenSession>(other.next<wire::Do>().body).nonce);
}

TEST(ClientSession, TheLeaseCountsFromTheFirstTimeTheOpeningWasSent) {
  Scripted c;
  c.core.open(c.now_ns);
  c.connect();
  const int64_t sent_ns = c.now_ns;
  c.next<wire::Do>();
  c.pass_ms(2'000);
  c.lose();
  c.connect();
  c.reply(c.next<wire::Do>().call, {.outcome = Opened{SessionId(5), 9'000, true}});
  c.pass_ns(sent_ns + 8'910 * kMs - 1 - c.now_ns);
  EXPECT_EQ(c.core.state(), State::Connected);
  c.pass_ns(1);
  EXPECT_EQ(c.core.state(), State::Jeopardy);
}

TEST(ClientSession, ARefusedOpeningIsToldAndEndsWhatWaits) {
  Scripted c;
  c.core.open(c.now_ns);
  c.connect();
  const Tag waits = c.put("/a");
  c.reply(c.next<wire::Do>().call, refusal_reply(Code::Exhausted));
  EXPECT_EQ(c.change(), Change::Refused);
  EXPECT_EQ(c.verdict(waits), Verdict::NotDone);
  EXPECT_EQ(c.core.state(), State::None);
  EXPECT_EQ(c.verdict(c.put("/a")), Verdict::NotDone);
}

TEST(ClientSession, TheLeaseEndsEarlierByTheDriftBound) {
  Scripted c;
  c.start();
  c.pass_ms(3'000);
  const int64_t sent_ns = c.now_ns;
  c.pass_ms(400);  // the answer is late: the lease is not
  c.answer_beat();
  while (c.now_ns < sent_ns + 8'910 * kMs - 1) c.pass_ns(std::min(500 * kMs, sent_ns + 8'910 * kMs - 1 - c.now_ns));
  EXPECT_EQ(c.core.state(), State::Connected);
  c.pass_ns(1);
  EXPECT_EQ(c.core.state(), State::Jeopardy);
  EXPECT_EQ(c.change(), Change::Jeopardy);
}

TEST(ClientSession, KeepAlivesComeEveryThirdOfTheLeaseAndOneAtATime) {
  Scripted c;
  c.start();
  c.pass_ms(2'999);
  EXPECT_FALSE(c.maybe_next<wire::KeepAlive>());
  c.pass_ms(1);
  const auto first = c.next<wire::KeepAlive>();
  c.pass_ms(499);
  EXPECT_FALSE(c.maybe_next<wire::KeepAlive>());
  c.pass_ms(1);
  const auto second = c.next<wire::KeepAlive>();
  EXPECT_GT(second.beat, first.beat);
  c.answer(second);
  c.pass_ms(2'999);
  EXPECT_FALSE(c.maybe_next<wire::KeepAlive>());
  c.pass_ms(1);
  EXPECT_TRUE(c.maybe_next<wire::KeepAlive>());
}

TEST(ClientSession, ALateAnswerCountsFromItsOwnBeat) {
  Scripted c;
  c.start();
  c.pass_ms(3'000);
  const int64_t sent_ns = c.now_ns;
  const auto first = c.next<wire::KeepAlive>();
  c.pass_ms(1'000);  // two more were sent
  c.answer(first);
  c.lose();  // no other answers
  c.pass_ns(sent_ns + 8'910 * kMs - 1 - c.now_ns);
  EXPECT_EQ(c.core.state(), State::Connected);
  c.pass_ns(1);
  EXPECT_EQ(c.core.state(), State::Jeopardy);
}

TEST(ClientSession, AnAnswerToABeatThatWasNeverSentRenewsNothing) {
  Scripted c;
  c.start();
  const int64_t since_ns = c.now_ns;
  c.pass_ms(3'000);
  const auto beat = c.next<wire::KeepAlive>();
  for (const uint64_t off : {1, 8, 16})
    c.say(wire::Lease{SessionId(5), wire::Beat(beat.beat.value + off), c.epoch, 9'000, 2'000});
  c.say(wire::Lease{SessionId(6), beat.beat, c.epoch, 0, 0});  // another's
  c.lose();
  c.pass_ns(since_ns + 8'910 * kMs - 1 - c.now_ns);
  EXPECT_EQ(c.core.state(), State::Connected);
  c.pass_ns(1);
  EXPECT_EQ(c.core.state(), State::Jeopardy);
}

TEST(ClientSession, WhatADeposedMasterSaysOfTheLeaseIsNotTaken) {
  Scripted c;
  c.start();
  c.pass_ms(3'000);
  c.say(wire::Lease{SessionId(5), c.next<wire::KeepAlive>().beat, wire::Epoch(2), 9'000, 2'000});
  const auto beat = c.next<wire::KeepAlive>();
  EXPECT_EQ(beat.seen, wire::Epoch(2));
  c.say(wire::Lease{SessionId(5), beat.beat, wire::Epoch(1), 0, 0});
  EXPECT_EQ(c.core.state(), State::Connected);
}

TEST(ClientSession, JeopardyThenSafe) {
  Scripted c;
  c.start();
  c.lose();
  const Tag waits = c.put("/a", 60'000);
  c.pass_ms(9'000);
  ASSERT_EQ(c.change(), Change::Jeopardy);
  EXPECT_FALSE(c.verdict(waits));
  c.connect();
  c.answer_beat();
  EXPECT_EQ(c.change(), Change::Safe);
  EXPECT_EQ(c.core.state(), State::Connected);
  c.reply(c.next<wire::Do>().call, txn_reply());
  EXPECT_EQ(c.verdict(waits), Verdict::Done);
}

TEST(ClientSession, AnAnswerWhoseLeaseHasRunOutIsNotSafe) {
  Scripted c;
  c.start();
  c.pass_ms(3'000);
  const auto beat = c.next<wire::KeepAlive>();
  c.sleep_ms(8'910);
  c.answer(beat);
  EXPECT_EQ(c.core.state(), State::Jeopardy);
}

TEST(ClientSession, ExpiresWithItsGracePeriod) {
  Scripted c;
  c.start();
  const Tag sent = c.put("/a", 600'000);
  c.lose();
  const Tag unsent = c.put("/b", 600'000);
  c.pass_ms(8'910 + 20'000 - 1);
  EXPECT_EQ(c.change(), Change::Jeopardy);
  c.pass_ms(1);
  EXPECT_EQ(c.change(), Change::Expired);
  EXPECT_EQ(c.verdict(sent), Verdict::Unknown);
  EXPECT_EQ(c.verdict(unsent), Verdict::NotDone);
  EXPECT_EQ(c.core.state(), State::None);
  c.connect();
  EXPECT_TRUE(c.sent.empty());  // no new session unasked
}

TEST(ClientSession, AStopOverLeaseAndGraceIsJeopardyAndExpiryInOneInput) {
  Scripted c;
  c.start();
  c.sleep_ms(3'600'000);
  c.say(wire::Lease{SessionId(5), wire::Beat(1), c.epoch, 9'000, 2'000});
  const auto changes = c.noticed<SessionChanged>();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].change, Change::Jeopardy);
  EXPECT_EQ(changes[1].change, Change::Expired);
}

TEST(ClientSession, NoLeaseIsTheCertainEnd) {
  Scripted c;
  c.start();
  const Tag lock = c.lock("/l");
  c.reply(c.next<wire::Do>().call, lock_reply(LockReply::Outcome::Granted, 3, 17));
  ASSERT_EQ(c.verdict(lock), Verdict::Done);
  const Tag sent = c.put("/a");
  c.pass_ms(3'000);
  c.answer_beat(0);
  EXPECT_EQ(c.verdict(sent), Verdict::Unknown);
  ASSERT_EQ(c.noticed<LockLost>().size(), 1u);
  EXPECT_EQ(c.noticed<LockLost>()[0].sequencer, (Sequencer{"/l", LockMode::Exclusive, LockGeneration(17)}));
  ASSERT_TRUE(std::holds_alternative<SessionChanged>(c.notices.back()));  // behind all that follows from it
  EXPECT_EQ(c.change(), Change::Expired);
}

TEST(ClientSession, AnotherIsOpenedAtOnceWhenTheOptionsSaySo) {
  Options options = test_options();
  options.reopen = Options::Reopen::AtOnce;
  Scripted c(options);
  c.start();
  c.put("/a");
  c.next<wire::Do>();
  c.pass_ms(3'000);
  c.answer_beat(0);
  const auto open = c.next<wire::Do>();
  ASSERT_TRUE(std::holds_alternative<OpenSession>(open.body));
  c.reply(open.call, {.outcome = Opened{SessionId(6), 9'000, true}});
  c.put("/b");
  const auto first = c.next<wire::Do>();
  EXPECT_EQ(first.session, SessionId(6));
  EXPECT_EQ(first.number, CommandNumber(1));
  EXPECT_EQ(first.got, CommandNumber(0));
}

TEST(ClientSession, ClosesBehindTheCommandsBeforeIt) {
  Scripted c;
  c.start();
  const Tag before = c.put("/a");
  const Tag close = c.new_tag();
  c.core.close(close, c.now_ns + 5'000 * kMs, c.now_ns);
  c.drain();
  EXPECT_EQ(c.verdict(c.put("/b")), Verdict::NotDone);
  const auto first = c.next<wire::Do>(), second = c.next<wire::Do>();
  ASSERT_TRUE(std::holds_alternative<CloseSession>(second.body));
  c.reply(first.call, txn_reply());
  c.reply(second.call, {});
  EXPECT_EQ(c.verdict(before), Verdict::Done);
  EXPECT_EQ(c.verdict(close), Verdict::Done);
  EXPECT_EQ(c.change(), Change::Closed);
  EXPECT_EQ(c.core.state(), State::None);
}

TEST(ClientSession, ACloseThatIsNotAnsweredEndsItHereAllTheSame) {
  Scripted c;
  c.start();
  const Tag close = c.new_tag();
  c.core.close(close, c.now_ns + 1'000 * kMs, c.now_ns);
  c.pass_ms(1'000);
  EXPECT_EQ(c.verdict(close), Verdict::Unknown);
  EXPECT_EQ(c.change(), Change::Closed);
}

TEST(ClientSession, ACloseRepeatedAfterItWasDoneIsDone) {
  Scripted c;
  c.start();
  const Tag close = c.new_tag();
  c.core.close(close, c.now_ns + 5'000 * kMs, c.now_ns);
  c.lose();
  c.connect();
  c.reply(c.next<wire::Do>().call, refusal_reply(Code::NotFound));
  EXPECT_EQ(c.verdict(close), Verdict::Done);
}

}  // namespace
}  // namespace hailstone::cell::client
