// Calls: numbers, what is sent again and what is not, deadlines, verdicts, limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/client_testing.h"

namespace hailstone::cell::client {
namespace {

using Fate = wire::Result::Refused::Fate;

bool is_filler(const wire::Do& message) { return message.body == Body(Txn{}); }

TEST(ClientCalls, CommandsAreNumberedWithoutGapsAndAcknowledged) {
  Scripted c;
  c.start();
  for (int i = 1; i <= 3; ++i) c.put("/a");
  std::vector<wire::Do> sent;
  for (uint64_t i = 1; i <= 3; ++i) {
    sent.push_back(c.next<wire::Do>());
    EXPECT_EQ(sent.back().number, CommandNumber(i));
    EXPECT_EQ(sent.back().got, CommandNumber(0));
    EXPECT_EQ(sent.back().session, SessionId(5));
  }
  c.reply(sent[1].call, txn_reply());  // out of order: the first is not acknowledged with it
  c.put("/b");
  EXPECT_EQ(c.next<wire::Do>().got, CommandNumber(0));
  c.reply(sent[0].call, txn_reply());
  c.put("/c");
  EXPECT_EQ(c.next<wire::Do>().got, CommandNumber(2));
}

TEST(ClientCalls, AWindowOfCommandsIsInFlight) {
  Scripted c;
  c.start();
  for (int i = 0; i < 40; ++i) c.put("/a");
  ASSERT_EQ(c.sent.size(), kWindow);
  const auto first = c.next<wire::Do>(), second = c.next<wire::Do>();
  c.sent.clear();
  c.reply(second.call, txn_reply());  // one behind an undecided one makes no room
  EXPECT_TRUE(c.sent.empty());
  c.reply(first.call, txn_reply());
  EXPECT_EQ(c.sent.size(), 2u);
}

TEST(ClientCalls, RepliesInFlightStayWithinWhatTheMachineKeeps) {
  Scripted c;
  c.start();
  for (int i = 0; i < 10; ++i)
    c.core.command(c.new_tag(), Txn{{}, {Get{"/a"}}, {}}, c.now_ns + 5'000 * kMs, c.now_ns), c.drain();
  ASSERT_EQ(c.sent.size(), 4u);  // three of 1 MiB are kept when the fourth is done, which may pass 4 MiB
  c.reply(c.next<wire::Do>().call, txn_reply());
  EXPECT_EQ(c.sent.size(), 4u);
}

TEST(ClientCalls, AfterAReconnectionCommandsGoAgainInOrderWithTheirNumbers) {
  Scripted c;
  c.start();
  const Tag first = c.put("/1"), second = c.put("/2"), third = c.put("/3");
  c.next<wire::Do>();
  c.reply(c.next<wire::Do>().call, txn_reply());
  c.lose();
  const Tag fourth = c.put("/4");
  c.sent.clear();
  c.connect();
  const auto a = c.next<wire::Do>(), b = c.next<wire::Do>(), d = c.next<wire::Do>();
  EXPECT_EQ(a.number, CommandNumber(1));
  EXPECT_EQ(b.number, CommandNumber(3));
  EXPECT_EQ(d.number, CommandNumber(4));
  EXPECT_EQ(std::get<Put>(std::get<Txn>(b.body).then_operations[0]).path, "/3");
  for (const auto& message : {a, b, d}) c.reply(message.call, txn_reply());
  for (const Tag tag : {first, second, third, fourth}) EXPECT_EQ(c.verdict(tag), Verdict::Done);
}

TEST(ClientCalls, NeverSentIsNotDoneAndTakesNoNumber) {
  Scripted c;
  c.start();
  c.lose();
  const Tag tag = c.put("/a", 100);
  c.pass_ms(99);
  EXPECT_FALSE(c.verdict(tag));
  c.pass_ms(1);
  EXPECT_EQ(c.verdict(tag), Verdict::NotDone);
  EXPECT_EQ(c.end_of(tag)->error.code, Code::Timeout);
  c.connect();
  c.put("/b");
  EXPECT_EQ(c.next<wire::Do>().number, CommandNumber(1));
}

TEST(ClientCalls, SentIsUnknownAtTheDeadlineAndItsNumberIsFilled) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a", 100);
  c.next<wire::Do>();
  c.pass_ms(100);
  EXPECT_EQ(c.verdict(tag), Verdict::Unknown);
  EXPECT_FALSE(c.maybe_next<wire::Do>());  // its answer may still come
  const Tag behind = c.put("/b");
  c.lose();
  c.sent.clear();
  c.connect();
  const auto filler = c.next<wire::Do>(), next = c.next<wire::Do>();
  EXPECT_EQ(filler.number, CommandNumber(1));
  EXPECT_TRUE(is_filler(filler));
  EXPECT_EQ(next.number, CommandNumber(2));
  c.reply(filler.call, txn_reply());
  c.reply(next.call, txn_reply());
  EXPECT_EQ(c.verdict(behind), Verdict::Done);
  c.put("/c");
  EXPECT_EQ(c.next<wire::Do>().got, CommandNumber(2));
}

TEST(ClientCalls, ALateReplyAfterTheDeadlineDecidesTheNumberSilently) {
  Scripted c;
  c.start();
  c.put("/a", 100);
  const auto sent = c.next<wire::Do>();
  c.pass_ms(100);
  c.reply(sent.call, txn_reply());
  EXPECT_EQ(c.noticed<CallEnded>().size(), 1u);
  c.lose();
  c.sent.clear();
  c.connect();
  EXPECT_FALSE(c.maybe_next<wire::Do>());
}

TEST(ClientCalls, AnAnswerThatNeverComesDoesNotBlockTheNumber) {
  Scripted c;
  c.start();
  c.put("/a", 100);
  c.next<wire::Do>();
  c.pass_ms(100 + 1'999);
  EXPECT_FALSE(c.maybe_next<wire::Do>());
  c.pass_ms(1);
  EXPECT_TRUE(is_filler(c.next<wire::Do>()));
}

TEST(ClientCalls, NotDoneForGoodIsRefusedAndItsNumberIsFilled) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a");
  c.refuse(c.next<wire::Do>().call, Code::Exhausted, Fate::NotDone);
  EXPECT_EQ(c.verdict(tag), Verdict::Refused);
  c.pass_ms(10);
  const auto filler = c.next<wire::Do>();
  EXPECT_TRUE(is_filler(filler));
  EXPECT_EQ(filler.number, CommandNumber(1));
  c.refuse(filler.call, Code::Exhausted, Fate::NotDone);  // insists
  c.pass_ms(20);
  EXPECT_TRUE(is_filler(c.next<wire::Do>()));
}

TEST(ClientCalls, NotDoneForNowIsTriedAgainUntilTheDeadline) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a", 1'000);
  const auto first = c.next<wire::Do>();
  c.refuse(first.call, Code::Unavailable, Fate::NotDone);
  c.pass_ms(10);
  const auto second = c.next<wire::Do>();
  EXPECT_EQ(second.number, first.number);
  EXPECT_EQ(second.body, first.body);
  EXPECT_GT(second.call, first.call);
  EXPECT_LT(second.deadline_ms, first.deadline_ms);
  c.refuse(second.call, Code::Unavailable, Fate::NotDone);
  c.pass_ms(19);
  c.lose();  // none is out: all copies were answered
  c.pass_ms(1'000);
  EXPECT_EQ(c.verdict(tag), Verdict::NotDone);
}

TEST(ClientCalls, NotDoneOfOneCopySaysNothingOfAnother) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a", 1'000);
  c.lose();  // the first copy may still reach the log
  c.sent.clear();
  c.connect();
  c.refuse(c.next<wire::Do>().call, Code::Exhausted, Fate::NotDone);
  EXPECT_FALSE(c.verdict(tag));
  c.pass_ms(1'000);
  EXPECT_EQ(c.verdict(tag), Verdict::Unknown);
}

TEST(ClientCalls, UnknownFromTheMemberIsAskedAgain) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a");
  c.refuse(c.next<wire::Do>().call, Code::Timeout, Fate::Unknown);
  c.pass_ms(10);
  c.reply(c.next<wire::Do>().call, txn_reply());
  EXPECT_EQ(c.verdict(tag), Verdict::Done);
}

TEST(ClientCalls, ARefusalByTheMachineIsRefused) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a");
  c.reply(c.next<wire::Do>().call, refusal_reply(Code::NotFound));  // the lease runs: it is the command's
  ASSERT_EQ(c.verdict(tag), Verdict::Refused);
  EXPECT_EQ(c.end_of(tag)->error.code, Code::NotFound);
}

TEST(ClientCalls, NotFoundInJeopardyWaitsForWordOfTheSession) {
  for (const bool alive : {true, false}) {
    Scripted c;
    c.start();
    const Tag tag = c.put("/a", 60'000);
    c.lose();
    c.pass_ms(9'000);
    c.connect();
    const auto before = c.next<wire::KeepAlive>();
    c.reply(c.next<wire::Do>().call, refusal_reply(Code::NotFound));
    EXPECT_FALSE(c.verdict(tag));
    c.answer(before);  // sent before: the session may have ended since
    EXPECT_FALSE(c.verdict(tag));
    c.answer_beat(alive ? 9'000 : 0);
    EXPECT_EQ(c.verdict(tag), alive ? Verdict::Refused : Verdict::Unknown);
  }
}

TEST(ClientCalls, GivingUpIsADeadline) {
  Scripted c;
  c.start();
  const Tag tag = c.put("/a");
  c.core.give_up(tag, c.now_ns);
  c.core.give_up(tag, c.now_ns);
  c.drain();
  EXPECT_EQ(c.verdict(tag), Verdict::Unknown);
  EXPECT_EQ(c.end_of(tag)->error.code, Code::Cancelled);
  EXPECT_EQ(c.noticed<CallEnded>().size(), 1u);
}

TEST(ClientCalls, WithoutASessionACommandGoesOnce) {
  Scripted c;
  c.connect();
  const Tag lost = c.new_tag(), refused = c.new_tag(), unknown = c.new_tag();
  for (const Tag tag : {lost, refused, unknown}) c.core.command_once(tag, Txn{}, c.now_ns + 5'000 * kMs, c.now_ns);
  c.drain();
  const auto first = c.next<wire::Do>();
  EXPECT_EQ(first.session, SessionId());
  EXPECT_EQ(first.number, CommandNumber());
  const auto second = c.next<wire::Do>(), third = c.next<wire::Do>();
  c.refuse(third.call, Code::Timeout, Fate::Unknown);
  EXPECT_EQ(c.verdict(unknown), Verdict::Unknown);
  c.refuse(second.call, Code::Unavailable, Fate::NotDone);
  c.pass_ms(10);
  c.refuse(c.next<wire::Do>().call, Code::Denied, Fate::NotDone);
  EXPECT_EQ(c.verdict(refused), Verdict::Refused);
  c.lose();
  EXPECT_EQ(c.verdict(lost), Verdict::Unknown);
  c.connect();
  EXPECT_TRUE(c.sent.empty());
}

TEST(ClientCalls, ReadsAreAskedAgainAndNeverUnknown) {
  Scripted c;
  c.connect();
  const Tag tag = c.new_tag(), late = c.new_tag();
  for (const Tag t : {tag, late}) {
    c.core.ask(t, wire::Ask::View::Linearizable, wire::GetState{}, c.now_ns + 5'000 * kMs, c.now_ns);
    c.drain();
  }
  c.lose();
  c.sent.clear();
  c.connect();
  c.say(wire::Result{c.next<wire::Ask>().call, wire::Result::Answered{Revision(9), wire::StateInfo{}}});
  EXPECT_EQ(c.verdict(tag), Verdict::Done);
  c.refuse(c.next<wire::Ask>().call, Code::Unavailable, Fate::Unknown);
  c.pass_ms(10);
  EXPECT_TRUE(c.maybe_next<wire::Ask>());
  c.pass_ms(5'000);
  EXPECT_EQ(c.verdict(late), Verdict::NotDone);
}

TEST(ClientCalls, AnAnswerOfAnotherKindEndsTheConnection) {
  Scripted c;
  c.connect();
  const Tag tag = c.new_tag();
  c.core.ask(tag, wire::Ask::View::Local, List{"/"}, c.now_ns + 5'000 * kMs, c.now_ns);
  c.drain();
  c.say(wire::Result{c.next<wire::Ask>().call, wire::Result::Answered{Revision(9), true}});
  EXPECT_EQ(c.cuts, 1);
  EXPECT_FALSE(c.verdict(tag));
  c.connect();
  EXPECT_TRUE(c.maybe_next<wire::Ask>());
}

TEST(ClientCalls, AMemberThatLeavesACallUnansweredIsLeft) {
  Scripted c;
  c.connect();
  c.core.ask(c.new_tag(), wire::Ask::View::Local, List{"/"}, c.now_ns + 4'000 * kMs, c.now_ns);
  c.drain();
  c.pass_ms(3'999);
  EXPECT_EQ(c.cuts, 0);
  c.pass_ms(1);
  EXPECT_EQ(c.cuts, 1);
}

TEST(ClientCalls, LimitsRefuseAsExhausted) {
  Options options = test_options();
  options.calls_max = 3;
  options.call_bytes_max = 3'000;
  Scripted c(options);
  c.start();
  const Tag big = c.new_tag();
  c.core.command(big, Txn{{}, {Put{"/a", Bytes(3'000, 'x')}}, {}}, kNever, c.now_ns);
  c.drain();
  EXPECT_EQ(c.end_of(big)->error.code, Code::Exhausted);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(c.verdict(c.put("/a")));
  const Tag over = c.put("/a");
  EXPECT_EQ(c.verdict(over), Verdict::Refused);
  EXPECT_EQ(c.end_of(over)->error.code, Code::Exhausted);
  c.reply(c.next<wire::Do>().call, txn_reply());
  EXPECT_FALSE(c.verdict(c.put("/a")));
}

TEST(ClientCalls, WhatNoMessageCanHoldIsInvalid) {
  Scripted c;
  c.start();
  const Tag tag = c.new_tag();
  c.core.command(tag, Txn{{}, {Put{"/a", Bytes(3 << 20, 'x')}}, {}}, kNever, c.now_ns);
  c.drain();
  EXPECT_EQ(c.end_of(tag)->error.code, Code::Invalid);
  c.core.command(c.new_tag(), CloseSession{}, kNever, c.now_ns);
  c.drain();
  EXPECT_EQ(c.end_of(c.last_tag)->error.code, Code::Invalid);
}

TEST(ClientCalls, ManagementIsNotSentTwice) {
  Scripted c;
  c.connect();
  const Tag lost = c.new_tag(), done = c.new_tag();
  for (const Tag tag : {done, lost}) c.core.manage(tag, "members", kNever, c.now_ns);
  c.drain();
  c.say(wire::Result{c.next<wire::Manage>().call, wire::Result::Managed{"three"}});
  EXPECT_EQ(std::get<wire::Result::Managed>(c.end_of(done)->value).response, "three");
  c.lose();
  EXPECT_EQ(c.verdict(lost), Verdict::Unknown);
}

}  // namespace
}  // namespace hailstone::cell::client
