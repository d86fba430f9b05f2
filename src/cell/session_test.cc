// Sessions: opening once, exactly-once commands, ending.
#include <gtest/gtest.h>

#include "cell/sessions.h"
#include "cell/testing.h"

namespace hailstone::cell {
namespace {

TEST(Sessions, TheSameNonceGivesTheSameSession) {
  TestCell cell;
  const auto open = [&](const Bytes& principal) { return cell.as(principal, OpenSession{nonce_of(77), 5000}); };
  const Reply first = open("ann"), again = open("ann");
  EXPECT_EQ(std::get<Opened>(first.outcome), std::get<Opened>(again.outcome));
  EXPECT_EQ(cell.counters().sessions, 1u);
  EXPECT_EQ(refusal(open("ben")), Code::Denied);
  cell.expire({SessionId(1)});
  EXPECT_EQ(std::get<Opened>(open("ann").outcome).session, SessionId(2));
}

TEST(Sessions, OneLeaseLengthWithinTheSettingsIsTold) {
  // CLD: the client believed in 120 s, the server in 60. Here the reply is the only source.
  TestCell cell;
  const auto lease = [&](uint64_t nonce, uint32_t wished) {
    return std::get<Opened>(cell.as("ann", OpenSession{nonce_of(nonce), wished}).outcome).lease_ms;
  };
  EXPECT_EQ(lease(1, 0), Settings{}.lease_ms_min);
  EXPECT_EQ(lease(2, 10'000), 10'000u);
  EXPECT_EQ(lease(3, 4'000'000'000), Settings{}.lease_ms_max);
  EXPECT_EQ((*schema::read_session(cell.database(), SessionId(3)))->lease_ms, Settings{}.lease_ms_max);
}

TEST(Sessions, ARepeatedCommandGetsTheStoredReplyAndDoesNothing) {
  TestCell cell;
  const SessionId ann = cell.open();
  const Command put = cell.next(ann, Txn{{}, {Put{"/a", "1", Put::Mode::Create}}, {}});
  const Bytes first = cell.apply_encoded(put.encode());
  cell.put("/a", "2");
  const auto before = cell.counters();
  EXPECT_EQ(cell.apply_encoded(put.encode()), first);
  EXPECT_EQ(cell.counters(), before);
  EXPECT_EQ(cell.content("/a"), "2");
}

TEST(Sessions, ARefusalIsRepeatedLikeAnyReply) {
  TestCell cell;
  const SessionId ann = cell.open();
  const Command remove = cell.next(ann, Txn{{}, {Delete{"/a"}}, {}});
  const Reply first = cell.apply(remove);
  cell.put("/a", "came later");
  const Reply again = cell.apply(remove);
  EXPECT_EQ(refusal(again), Code::NotFound);
  EXPECT_EQ(again.revision, first.revision);
  EXPECT_TRUE(cell.file("/a"));
}

TEST(Sessions, AGapIsRefusedAndCanBeFilled) {
  TestCell cell;
  const SessionId ann = cell.open();
  const Command one = cell.next(ann, Txn{{}, {Put{"/1", ""}}, {}});
  Command two = cell.next(ann, Txn{{}, {Put{"/2", ""}}, {}});
  two.got = {};
  EXPECT_EQ(refusal(cell.apply(two)), Code::Conflict);
  EXPECT_FALSE(cell.file("/2"));
  EXPECT_EQ(refusal(cell.apply(one)), std::nullopt);
  EXPECT_EQ(refusal(cell.apply(two)), std::nullopt);
}

TEST(Sessions, RepliesAreKeptUntilTheyAreAcknowledged) {
  TestCell cell;
  const SessionId ann = cell.open();
  std::vector<Command> commands;
  for (int i = 0; i < 5; ++i) {
    commands.push_back(cell.next(ann, Txn{{}, {Put{fmt::format("/{}", i), ""}}, {}}));
    commands.back().got = {};
    cell.apply(commands.back());
  }
  for (const Command& command : commands) EXPECT_EQ(refusal(cell.apply(command)), std::nullopt);
  Command last = cell.next(ann, Txn{});
  last.got = CommandNumber(3);
  cell.apply(last);
  EXPECT_EQ(refusal(cell.apply(commands[2])), Code::Conflict);
  EXPECT_EQ(refusal(cell.apply(commands[3])), std::nullopt);
}

TEST(Sessions, BeyondSixtyFourUnacknowledgedRepliesNothingIsDoneAndNoneIsLost) {
  TestCell cell;
  const SessionId ann = cell.open();
  std::vector<Command> commands;
  for (size_t i = 0; i < kRepliesMax + 1; ++i) {
    commands.push_back(cell.next(ann, Txn{{}, {Put{fmt::format("/{}", i), ""}}, {}}));
    commands.back().got = {};
    EXPECT_EQ(refusal(cell.apply(commands.back())), i < kRepliesMax ? std::nullopt : std::optional(Code::Exhausted));
  }
  EXPECT_FALSE(cell.file("/64"));
  EXPECT_EQ(refusal(cell.apply(commands[0])), std::nullopt);
  commands.back().got = CommandNumber(1);
  EXPECT_EQ(refusal(cell.apply(commands.back())), std::nullopt);
  EXPECT_EQ(refusal(cell.apply(commands[0])), Code::Conflict);
  EXPECT_EQ(refusal(cell.apply(commands[1])), std::nullopt);
}

TEST(Sessions, TextsOfRefusalsStayOutOfTheState) {
  // They may differ between the programs of two members, whose states must not.
  TestCell cell;
  const SessionId ann = cell.open();
  const Command remove = cell.next(ann, Txn{{}, {Delete{"/the-path"}}, {}});
  const Reply first = cell.apply(remove), again = cell.apply(remove);
  EXPECT_EQ(first.refused->message, "operation 0: no file '/the-path'");
  EXPECT_EQ(again.refused, (Error{Code::NotFound, ""}));
  for (const auto& [key, value] : rows_of(cell.database())) EXPECT_EQ(value.find("the-path"), Bytes::npos);
}

TEST(Sessions, ThoseThatCacheAreListedWhileTheyLive) {
  TestCell cell;
  const auto open = [&](uint64_t nonce, bool caching) {
    return std::get<Opened>(cell.as("ann", OpenSession{nonce_of(nonce), 0, caching}).outcome);
  };
  const Opened one = open(1, true), two = open(2, false), three = open(3, true);
  EXPECT_TRUE(one.caching && !two.caching);
  EXPECT_EQ(open(2, true), two) << "it is what it was opened as";
  EXPECT_EQ(*caching_sessions(cell.database()), (std::vector{one.session, three.session}));
  cell.expire({one.session, two.session});
  EXPECT_EQ(*caching_sessions(cell.database()), std::vector{three.session});
}

TEST(Sessions, TooManyBytesOfRepliesAreRefusedUntilAcknowledged) {
  TestCell cell;
  const SessionId ann = cell.open();
  cell.put("/big", Bytes(kFileBytesMax, 'x'));
  const Txn read{{}, {Get{"/big"}, Get{"/big"}, Get{"/big"}}, {}};
  Reply reply;
  int done = 0;
  Command command;
  for (; done < 20; ++done) {
    command = cell.next(ann, read);
    command.got = {};
    if (reply = cell.apply(command); reply.refused) break;
  }
  EXPECT_EQ(refusal(reply), Code::Exhausted);
  EXPECT_EQ(done, 6);
  command.got = CommandNumber(6);
  EXPECT_EQ(refusal(cell.apply(command)), std::nullopt);
}

TEST(Sessions, CommandsOfASessionMustBeNumberedAndItsPrincipals) {
  TestCell cell;
  const SessionId ann = cell.open("ann");
  Command command = cell.next(ann, Txn{});
  command.principal = "ben";
  EXPECT_EQ(refusal(cell.apply(command)), Code::Denied);
  command.principal = "ann";
  command.number = {};
  EXPECT_EQ(refusal(cell.apply(command)), Code::Invalid);
  command.number = CommandNumber(1);
  command.got = CommandNumber(1);
  EXPECT_EQ(refusal(cell.apply(command)), Code::Invalid);
  command.session = SessionId(99);
  command.got = {};
  EXPECT_EQ(refusal(cell.apply(command)), Code::NotFound);
  command.session = {};
  EXPECT_EQ(refusal(cell.apply(command)), Code::Invalid);
  EXPECT_EQ(refusal(cell.as("ann", CloseSession{})), Code::Invalid);
}

TEST(Sessions, AnEndedOneIsGoneWithAllItsRecords) {
  TestCell cell;
  const auto before = rows_of(cell.database());
  const SessionId ann = cell.open(), ben = cell.open();
  cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 0});
  cell.in(ben, Lock{"/l", LockMode::Exclusive, Lock::Wait::Queue, 0});
  cell.in(ann, Txn{{}, {Put{"/e", "x", Put::Mode::Create, Put::Life::Ephemeral}}, {}});
  cell.in(ann, CloseSession{});
  EXPECT_EQ(refusal(cell.in(ann, Txn{})), Code::NotFound);
  EXPECT_EQ(refusal(cell.in(ann, CloseSession{})), Code::NotFound);
  EXPECT_EQ(std::get<Expired>(cell.expire({ann, ben, ben}).outcome).sessions, 1u);
  for (const auto& [key, value] : rows_of(cell.database())) EXPECT_TRUE(key[0] == 'M' || key[0] == 'E') << to_hex(key);
  EXPECT_TRUE(before.empty());
}

TEST(Sessions, OnlyTheCellItselfExpiresThem) {
  TestCell cell;
  const SessionId ann = cell.open("ann");
  EXPECT_EQ(refusal(cell.as("ben", Expire{{ann}})), Code::Denied);
  EXPECT_EQ(refusal(cell.in(ann, Expire{{ann}})), Code::Denied);
  EXPECT_EQ(refusal(cell.as("ben", Tick{})), Code::Denied);
  EXPECT_EQ(refusal(cell.expire(std::vector<SessionId>(kExpireMax + 1))), Code::Invalid);
}

TEST(Sessions, TimeNeverGoesBack) {
  TestCell cell;
  cell.now_ = ClusterTime(5'000'000);
  cell.cell(Tick{});
  cell.now_ = ClusterTime(4'000'000);
  EXPECT_EQ(cell.cell(Tick{}).time, ClusterTime(5'000'000));
  cell.now_ = ClusterTime(~uint64_t{0});
  EXPECT_EQ(cell.cell(Tick{}).time, kTimeMax);
}

}  // namespace
}  // namespace hailstone::cell
