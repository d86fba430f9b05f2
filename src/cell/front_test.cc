// The front: greetings, reads, what is relayed and when again, watches, slow clients, limits.
#include "cell/front.h"

#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

using wire::CallId;
using wire::ConnectionId;
using wire::WatchId;

constexpr MemberId kHere{1}, kThere{2}, kElsewhere{3};

struct Serving {
  TestCell cell;
  Front front;
  Time now{1'000'000'000};
  Front::Output out;
  std::map<ConnectionId, std::vector<wire::MemberMessage>> heard;
  std::map<ConnectionId, size_t> unwritten;
  std::set<ConnectionId> closed;
  std::vector<Front::Output::ToMember> relayed;
  std::vector<uint64_t> points;

  static FrontOptions options() { return {.member = kHere, .cell = "cell"}; }
  explicit Serving(FrontOptions o = options()) : front(std::move(o)) { EXPECT_TRUE(front.start(now, cell.database())); }
  void drain() {
    EXPECT_EQ(front.broken_invariant(), "");
    for (auto& message : out.clients) {
      heard[message.connection].push_back(*wire::decode_member_message(message.message));
      unwritten[message.connection] += message.message.size();
      if (message.then == Front::Output::ToClient::Then::Close) closed.insert(message.connection);
    }
    for (auto& message : out.members) relayed.push_back(std::move(message));
    points.insert(points.end(), out.read_points.begin(), out.read_points.end());
    out = {};
  }
  ConnectionId connect(uint64_t n, const Bytes& principal = "ann") {
    front.connected(now, ConnectionId(n), principal);
    say(ConnectionId(n), wire::Hello{});
    return ConnectionId(n);
  }
  void say(ConnectionId connection, wire::ClientMessage message) {
    EXPECT_TRUE(front.receive(now, connection, std::move(message), cell.database(), out));
    drain();
    while (front.wake() < now) tick();
  }
  void leader(MemberId member) {
    front.leader(now, member, out);
    drain();
  }
  void from(MemberId member, wire::PeerMessage message) {
    front.receive(now, member, std::move(message), out);
    drain();
  }
  void tick() {
    EXPECT_TRUE(front.tick(now, cell.database(), out));
    drain();
  }
  void pass_ms(uint64_t ms) {
    now = now + ns_of_ms(ms);
    tick();
  }
  void applied() {
    front.applied();
    while (front.wake() < now) tick();
  }
  void reach(Result<void> reached = {}) {
    const uint64_t tag = points.front();
    points.erase(points.begin());
    EXPECT_TRUE(front.read_point(now, tag, std::move(reached), cell.database(), out));
    drain();
  }
  void wrote(ConnectionId connection) {
    front.written(now, connection, std::exchange(unwritten[connection], 0), out);
    drain();
    while (front.wake() < now) tick();
  }
  template <class Message>
  std::vector<Message> all(ConnectionId connection) {
    std::vector<Message> messages;
    for (const auto& message : heard[connection])
      if (const auto* one = std::get_if<Message>(&message)) messages.push_back(*one);
    return messages;
  }
  wire::Refused refused(ConnectionId connection) {
    const auto results = all<wire::Result>(connection);
    EXPECT_FALSE(results.empty());
    return results.empty() ? wire::Refused{{}, wire::Refused::Fate{}} : std::get<wire::Refused>(results.back().result);
  }
  /// What a watch was told, as numbers of revisions.
  std::vector<uint64_t> told(ConnectionId connection, WatchId watch) {
    std::vector<uint64_t> revisions;
    for (const auto& events : all<wire::Events>(connection))
      if (events.watch == watch)
        for (const auto& item : events.batch.events) revisions.push_back(item.revision.value);
    return revisions;
  }
};

wire::Do numbered(uint64_t call, uint64_t number, uint32_t deadline_ms = 1000) {
  return {CallId(call), deadline_ms, SessionId(5), CommandNumber(number), {}, Txn{{}, {Put{"/f", "x"}}, {}}};
}
wire::Do once(uint64_t call, uint32_t deadline_ms = 1000) {
  return {CallId(call), deadline_ms, {}, {}, {}, Txn{{}, {Put{"/f", "x"}}, {}}};
}
wire::Ask get(uint64_t call, const Bytes& path, wire::Ask::View view = wire::Ask::View::Linearizable) {
  return {CallId(call), 1000, view, Get{path}};
}
using Fate = wire::Refused::Fate;

TEST(Front, GreetsWhoGreetsFirstInAVersionOfBoth) {
  Serving s;
  const auto c = s.connect(1);
  EXPECT_EQ(s.all<wire::Welcome>(c), (std::vector{wire::Welcome{1, 1, "cell", "ann"}}));
  s.say(c, wire::Hello{});
  EXPECT_TRUE(s.closed.contains(c));
  s.front.connected(s.now, ConnectionId(2), "ann");
  s.say(ConnectionId(2), get(1, "/f"));
  EXPECT_EQ(s.all<wire::Goodbye>(ConnectionId(2)).at(0).error.code, Code::Invalid);
  s.front.connected(s.now, ConnectionId(3), "ann");
  s.say(ConnectionId(3), wire::Hello{2, 3});
  EXPECT_EQ(s.all<wire::Goodbye>(ConnectionId(3)).at(0).error.code, Code::Unsupported);
  s.connect(4, "");
  EXPECT_EQ(s.all<wire::Goodbye>(ConnectionId(4)).at(0).error.code, Code::Denied);
}

TEST(Front, LinearizableReadsShareAReadPointAndLocalOnesNeedNone) {
  Serving s;
  const auto c = s.connect(1);
  s.cell.put("/f", "old");
  s.say(c, get(1, "/f", wire::Ask::View::Local));
  EXPECT_EQ(s.all<wire::Result>(c).size(), 1u);
  EXPECT_TRUE(s.points.empty());
  for (uint64_t call = 2; call < 6; ++call) s.say(c, get(call, "/f"));
  EXPECT_EQ(s.points.size(), 4u);
  for (uint64_t call = 6; call < 60; ++call) s.say(c, get(call, "/f"));
  EXPECT_EQ(s.points.size(), 4u) << "the rest share the next";
  s.cell.put("/f", "new");
  while (!s.points.empty()) s.reach();
  const auto results = s.all<wire::Result>(c);
  ASSERT_EQ(results.size(), 59u);
  EXPECT_EQ(std::get<Got>(std::get<wire::Answered>(results.back().result).answer).file->content, "new");
}

TEST(Front, AReadPointThatIsNotReachedIsTriedAgainUntilTheDeadline) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, get(1, "/f"));
  s.reach(fail(Code::Unavailable, "nobody leads"));
  EXPECT_TRUE(s.points.empty());
  s.pass_ms(25);
  EXPECT_EQ(s.points.size(), 1u);
  s.reach(fail(Code::Unavailable, "nobody leads"));
  s.pass_ms(1000);
  EXPECT_EQ(s.refused(c).fate, Fate::NotDone);
}

TEST(Front, ReadsNeedTheRight) {
  Serving s;
  s.cell.cell(SetRules{"root", {{"/", kAllRights}}});
  s.cell.cell(SetRules{"ann", {{"/a", 1}}});
  const auto c = s.connect(1);
  s.say(c, get(1, "/b", wire::Ask::View::Local));
  EXPECT_EQ(s.refused(c).error.code, Code::Denied);
  s.say(c, wire::Ask{CallId(2), 1000, wire::Ask::View::Local, wire::GetSessions{}});
  EXPECT_EQ(s.refused(c).error.code, Code::Denied);
  s.say(c, wire::Ask{CallId(3), 1000, wire::Ask::View::Local, wire::GetRules{"ann"}});
  EXPECT_EQ(std::get<std::vector<Rule>>(std::get<wire::Answered>(s.all<wire::Result>(c).back().result).answer).size(),
            1u);
  s.say(c, get(4, "a", wire::Ask::View::Local));
  EXPECT_EQ(s.refused(c).error.code, Code::Invalid);
}

TEST(Front, CallsWaitForAMaster) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, numbered(1, 1));
  s.say(c, once(2));
  EXPECT_TRUE(s.relayed.empty());
  s.leader(kThere);
  EXPECT_EQ(s.relayed.size(), 2u);
  EXPECT_EQ(std::get<wire::Relay>(s.relayed[0].message).principal, "ann");
}

TEST(Front, WhatWasNeverRelayedIsNotDoneAtTheDeadline) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, numbered(1, 1));
  s.pass_ms(999);
  EXPECT_TRUE(s.all<wire::Result>(c).empty());
  s.pass_ms(1);
  EXPECT_EQ(s.refused(c).fate, Fate::NotDone);
  s.leader(kThere);
  EXPECT_TRUE(s.relayed.empty());
}

TEST(Front, WhatWasRelayedIsUnknownAtTheDeadlineUnlessItCameBack) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, numbered(1, 1));
  s.say(c, numbered(2, 2));
  s.from(kThere, wire::NotMaster{c, CallId(2)});
  s.leader({});
  s.pass_ms(1000);
  const auto results = s.all<wire::Result>(c);
  ASSERT_EQ(results.size(), 2u);
  for (const auto& result : results)
    EXPECT_EQ(std::get<wire::Refused>(result.result).fate, result.call == CallId(1) ? Fate::Unknown : Fate::NotDone);
}

TEST(Front, OnlyWhatIsDoneOnceAnywayIsRelayedToTheNextMasterToo) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, numbered(1, 1));
  s.say(c, once(2));
  s.say(c, wire::Fetch{CallId(3), 1000, SessionId(5), "/f"});
  s.say(c, wire::Do{CallId(4), 1000, {}, {}, {}, OpenSession{}});
  s.relayed.clear();
  s.leader(kElsewhere);
  EXPECT_EQ(s.relayed.size(), 3u);
  // A copy that was not taken up was not sent.
  s.from(kThere, wire::NotMaster{c, CallId(2)});
  EXPECT_EQ(s.relayed.size(), 4u);
}

TEST(Front, ALeaderThatIsNotReadyIsAskedAgain) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, once(1));
  s.from(kThere, wire::NotMaster{c, CallId(1)});
  EXPECT_EQ(s.relayed.size(), 1u);
  s.pass_ms(25);
  EXPECT_EQ(s.relayed.size(), 2u);
}

TEST(Front, NotDoneOfOneCopyIsNotNotDoneOfTheCall) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, numbered(1, 1));
  s.leader(kElsewhere);
  const wire::Result refusal{CallId(1), wire::Refused{{Code::Unavailable, "full"}, Fate::NotDone}};
  s.from(kThere, wire::Reverse{c, refusal});
  EXPECT_TRUE(s.all<wire::Result>(c).empty());
  s.from(kElsewhere, wire::Reverse{c, refusal});
  EXPECT_EQ(s.refused(c).fate, Fate::NotDone);
}

TEST(Front, ABrokenLinkMakesItRelayAgainAndDoubtTheRest) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, numbered(1, 1));
  s.say(c, once(2));
  s.relayed.clear();
  s.front.link_lost(s.now, kThere, s.out);
  s.pass_ms(25);
  EXPECT_EQ(s.relayed.size(), 1u);
  s.pass_ms(1000);
  for (const auto& result : s.all<wire::Result>(c))
    EXPECT_EQ(std::get<wire::Refused>(result.result).fate, Fate::Unknown);
}

TEST(Front, TheNewestKeepAliveIsRelayedToANewMaster) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, wire::KeepAlive{SessionId(5), wire::Beat(1), {}});
  s.say(c, wire::KeepAlive{SessionId(5), wire::Beat(2), {}});
  s.leader(kThere);
  ASSERT_EQ(s.relayed.size(), 1u);
  s.from(kThere, wire::Reverse{c, wire::Lease{SessionId(5), wire::Beat(2), wire::Epoch(1), 1000, 0}});
  EXPECT_EQ(s.all<wire::Lease>(c).size(), 1u);
  s.leader(kElsewhere);
  EXPECT_EQ(s.relayed.size(), 1u);
}

TEST(Front, TheMasterHearsOfADeadlineBeforeTheClientsIsOver) {
  Serving s;
  const auto c = s.connect(1);
  s.leader(kThere);
  s.say(c, numbered(1, 1, 800));
  EXPECT_EQ(std::get<wire::Do>(std::get<wire::Relay>(s.relayed[0].message).message).deadline_ms, 700u);
}

// ---- watches ----

TEST(Front, AWatchTellsWhatIsBeneathItOnceAndInOrder) {
  Serving s;
  const auto c = s.connect(1);
  s.cell.put("/d/a", "1");  // revision 1: before
  s.applied();
  s.say(c, wire::Watch{WatchId(1), "/d", {}, {}});
  s.say(c, wire::Watch{WatchId(2), "/d/a", Revision(0), {}});
  EXPECT_EQ(s.all<wire::Events>(c).at(0), (wire::Events{WatchId(1), {{}, {}, Revision(1)}})) << "it has begun";
  s.applied();
  s.cell.put("/d/a", "2");
  s.cell.put("/da", "3");
  s.applied();
  s.cell.put("/d/b/c", "4");
  s.applied();
  EXPECT_EQ(s.told(c, WatchId(1)), (std::vector<uint64_t>{2, 4}));
  EXPECT_EQ(s.told(c, WatchId(2)), (std::vector<uint64_t>{1, 2}));
  s.say(c, wire::Unwatch{WatchId(1)});
  s.cell.put("/d/a", "5");
  s.applied();
  EXPECT_EQ(s.told(c, WatchId(1)), (std::vector<uint64_t>{2, 4}));
  EXPECT_EQ(s.front.figures().watches, 1u);
}

TEST(Front, AWatchAheadOfThisMemberWaitsForIt) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, wire::Watch{WatchId(1), "/", Revision(2), {}});
  for (const char* content : {"1", "2", "3"}) s.cell.put("/f", content);
  s.applied();
  EXPECT_EQ(s.told(c, WatchId(1)), (std::vector<uint64_t>{3}));
}

TEST(Front, AWatchAheadOfEverythingOutlivesAStateWhoseHistoryBeginsLater) {
  Serving s;
  Settings settings;
  settings.history_events_max = 2;
  s.cell.cell(ChangeSettings{settings});
  s.applied();
  const auto c = s.connect(1);
  s.say(c, wire::Watch{WatchId(1), "/f", Revision(1'000'000), {}});
  s.say(c, wire::Watch{WatchId(2), "/f", {}, {}});
  for (int i = 0; i < 10; ++i) s.cell.put("/f", std::to_string(i));
  s.applied();  // as after a snapshot of another member's
  EXPECT_EQ(s.told(c, WatchId(1)), (std::vector<uint64_t>{}));
  EXPECT_EQ(s.told(c, WatchId(2)), (std::vector<uint64_t>{10, 11}));
}

TEST(Front, WhatIsKeptOfCallsEndsWithThem) {
  Serving s;
  const auto c = s.connect(1);
  for (uint64_t i = 1; i <= 6000; ++i) s.say(c, wire::Ask{CallId(i), 600'000, wire::Ask::View::Local, Get{"/f"}});
  EXPECT_EQ(s.all<wire::Result>(c).size(), 6000u);
  EXPECT_LE(s.front.figures().timers, 4500u) << "deadlines of calls that have ended";
  for (uint64_t i = 0; i < 100; ++i) {  // nobody leads
    s.say(c, get(6001 + i, "/f"));
    s.pass_ms(2000);
    while (!s.points.empty()) s.reach(fail(Code::Unavailable, "nobody leads"));
  }
  EXPECT_LE(s.front.figures().asks, 2u);
}

TEST(Front, AWatchAboutASessionTellsOfItsLocksOnly) {
  Serving s;
  const SessionId ann = s.cell.open("ann"), ben = s.cell.open("ben");
  s.cell.cell(SetRules{"root", {{"/", kAllRights}}});
  s.cell.cell(SetRules{"ann", {{"/", 4}}});  // to lock, not to read
  const auto c = s.connect(1);
  s.applied();
  s.say(c, wire::Watch{WatchId(1), "/l", {}, ann});
  s.say(c, wire::Watch{WatchId(2), "/l", {}, ben});
  EXPECT_EQ(s.all<wire::WatchRefused>(c).at(0).watch, WatchId(2)) << "of another principal";
  s.cell.cell(SetRules{"ben", {{"/", 4}}});
  s.cell.in(ben, Lock{"/l"});
  s.cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Queue, 0});
  s.applied();
  EXPECT_TRUE(s.told(c, WatchId(1)).empty());
  s.cell.in(ben, Unlock{"/l"});
  s.applied();
  EXPECT_EQ(s.told(c, WatchId(1)).size(), 1u);
}

TEST(Front, ForgottenHistoryIsSaidToBeCompacted) {
  Serving s;
  Settings settings;
  settings.history_events_max = 2;
  s.cell.cell(ChangeSettings{settings});
  for (int i = 0; i < 10; ++i) s.cell.put("/f", std::to_string(i));
  const auto c = s.connect(1);
  s.applied();
  s.say(c, wire::Watch{WatchId(1), "/f", Revision(3), {}});
  s.applied();
  const auto events = s.all<wire::Events>(c);
  EXPECT_EQ(events.at(1).batch.compacted, Revision(9));
  EXPECT_EQ(s.told(c, WatchId(1)), (std::vector<uint64_t>{10, 11})) << "it goes on from there";
}

TEST(Front, AClientThatDoesNotReadIsToldLaterAndFromItsRevision) {
  FrontOptions options = Serving::options();
  options.events_unwritten_max = 200;
  Serving s(options);
  const auto slow = s.connect(1), quick = s.connect(2);
  for (const auto c : {slow, quick}) s.say(c, wire::Watch{WatchId(1), "/", Revision(0), {}});
  std::vector<uint64_t> all;
  for (uint64_t i = 1; i <= 100; ++i) {
    s.cell.put("/f", std::to_string(i));
    s.applied();
    s.wrote(quick);
    all.push_back(i);
  }
  EXPECT_EQ(s.told(quick, WatchId(1)), all);
  EXPECT_LT(s.told(slow, WatchId(1)).size(), 30u);
  EXPECT_LT(s.unwritten[slow], 600u);
  for (int i = 0; i < 100; ++i) s.wrote(slow);
  EXPECT_EQ(s.told(slow, WatchId(1)), all);
}

TEST(Front, AClientThatReadsNothingAtAllIsCutOff) {
  Serving s;
  const auto c = s.connect(1);
  for (int i = 0; i < 35; ++i) s.pass_ms(1000);
  EXPECT_EQ(s.all<wire::Goodbye>(c).at(0).error.code, Code::Exhausted);
  EXPECT_EQ(s.front.figures().connections, 0u);
}

TEST(Front, NewRulesEndTheWatchesOfThoseWhoMayNotReadAnyMore) {
  Serving s;
  const auto ann = s.connect(1, "ann"), ben = s.connect(2, "ben");
  for (const auto c : {ann, ben}) s.say(c, wire::Watch{WatchId(1), "/f", {}, {}});
  s.cell.cell(SetRules{"ann", {{"/", kAllRights}}});
  s.cell.put("/f", "secret");
  s.applied();
  EXPECT_EQ(s.told(ann, WatchId(1)).size(), 1u);
  EXPECT_TRUE(s.told(ben, WatchId(1)).empty());
  EXPECT_EQ(s.all<wire::WatchRefused>(ben).at(0).error.code, Code::Denied);
  EXPECT_EQ(s.front.figures().watches, 1u);
}

TEST(Front, AThousandOfTenThousandWatchesAreTold) {
  Serving s;
  for (uint64_t n = 1; n <= 100; ++n) {
    const auto c = s.connect(n);
    for (uint64_t w = 1; w <= 100; ++w)
      s.say(c, wire::Watch{WatchId(w), w <= 10 ? "/hot" : "/cold/" + std::to_string(n * 100 + w), {}, {}});
  }
  s.applied();
  s.heard.clear();
  s.cell.put("/hot", "x");
  s.applied();
  size_t told = 0;
  for (const auto& [connection, messages] : s.heard) told += messages.size();
  EXPECT_EQ(told, 1000u);
}

// Also when they come all at once.
TEST(Front, WatchesFarBehindAreToldAFewWithEachTick) {
  Serving s;
  for (int i = 0; i < 5; ++i) s.cell.put("/f", std::to_string(i));
  s.applied();
  const auto c = s.connect(1);
  for (uint64_t w = 1; w <= 100; ++w)
    EXPECT_TRUE(s.front.receive(s.now, c, wire::Watch{WatchId(w), "/f", Revision(1), {}}, s.cell.database(), s.out));
  EXPECT_EQ(s.out.clients.size(), 100u);  // that they have begun
  size_t ticks = 0;
  for (; s.front.wake() < s.now; ++ticks) {
    s.out = {};
    EXPECT_TRUE(s.front.tick(s.now, s.cell.database(), s.out));
    EXPECT_LE(s.out.clients.size(), Serving::options().pieces_per_tick);
  }
  EXPECT_GE(ticks, 100 / Serving::options().pieces_per_tick);
}

TEST(Front, WatchesWithoutEventsHearHowFarTheyAre) {
  Serving s;
  const auto c = s.connect(1);
  s.say(c, wire::Watch{WatchId(1), "/quiet", {}, {}});
  for (int i = 0; i < 5; ++i) s.cell.put("/f", std::to_string(i));
  s.applied();
  for (int i = 0; i < 11; ++i) s.pass_ms(1000);
  EXPECT_EQ(s.all<wire::Events>(c).back().batch.upto, Revision(5));
}

// ---- limits ----

TEST(Front, LimitsAreRefusedByName) {
  FrontOptions options = Serving::options();
  options.calls_max = 2;
  options.watches_max = 1;
  options.principal_calls_max = 3;
  Serving s(options);
  const auto one = s.connect(1), two = s.connect(2);
  for (uint64_t call = 1; call <= 3; ++call) s.say(one, once(call));
  EXPECT_EQ(s.refused(one).error.code, Code::Exhausted);
  EXPECT_EQ(s.refused(one).fate, Fate::NotDone);
  for (uint64_t call = 1; call <= 2; ++call) s.say(two, once(call));
  EXPECT_EQ(s.all<wire::Result>(two).size(), 1u);
  s.say(one, wire::Watch{WatchId(1), "/", {}, {}});
  s.say(one, wire::Watch{WatchId(2), "/", {}, {}});
  EXPECT_EQ(s.all<wire::WatchRefused>(one).at(0).error.code, Code::Exhausted);
  s.front.closed(one);
  s.front.closed(two);
  EXPECT_EQ(s.front.broken_invariant(), "");
  EXPECT_EQ(s.front.figures().calls, 0u);
}

TEST(Front, CallsAndWatchesHaveRisingNumbers) {
  Serving s;
  const auto one = s.connect(1), two = s.connect(2);
  s.say(one, once(2));
  s.say(one, once(2));
  EXPECT_TRUE(s.closed.contains(one));
  s.say(two, wire::Watch{WatchId(2), "/", {}, {}});
  s.say(two, wire::Watch{WatchId(1), "/", {}, {}});
  EXPECT_TRUE(s.closed.contains(two));
}

TEST(Front, StoppingSaysGoodbyeToAll) {
  Serving s;
  const auto one = s.connect(1), two = s.connect(2);
  s.front.stop(s.out);
  s.drain();
  for (const auto c : {one, two}) EXPECT_EQ(s.all<wire::Goodbye>(c).at(0).error.code, Code::Unavailable);
}

}  // namespace
}  // namespace hailstone::cell
