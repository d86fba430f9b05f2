// The master: copies, leases, order, take-over, time.
#include "cell/master.h"

#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

using wire::CallId;
using wire::ConnectionId;
using wire::Epoch;

constexpr MemberId kThere{2};

/// A master over a cell whose commands are applied when the test says so.
struct Leading {
  TestCell cell;
  Master master;
  Time now{1'000'000'000};
  bool may_read = true;
  Master::Output out;
  std::deque<Master::Output::Proposal> proposed;
  std::vector<Master::Output::Send> sent;
  uint64_t calls = 0;

  explicit Leading(const MasterOptions& options = {}) : master(options) {}
  View view() { return {cell.database(), may_read}; }
  void drain() {
    EXPECT_EQ(master.broken_invariant(), "");
    for (auto& proposal : out.proposals) proposed.push_back(std::move(proposal));
    for (auto& message : out.messages) sent.push_back(std::move(message));
    out = {};
  }
  void lead(uint64_t epoch, int64_t wall_us = 0) {
    EXPECT_TRUE(master.lead(now, Epoch(epoch), wall_us, view(), out));
    drain();
  }
  void tell(wire::ClientMessage message, const Bytes& principal = "ann", uint64_t connection = 7) {
    EXPECT_TRUE(
        master.receive(now, kThere, wire::Relay{ConnectionId(connection), principal, std::move(message)}, view(), out));
    drain();
  }
  void tick() {
    EXPECT_TRUE(master.tick(now, view(), out));
    drain();
  }
  void pass_ms(int64_t ms) {
    now = now + ns_of_ms(static_cast<uint64_t>(ms));
    tick();
  }
  /// Everything proposed is applied; what that brings, too.
  void apply_all() {
    while (!proposed.empty()) apply_one();
  }
  void apply_one() {
    const auto next = std::move(proposed.front());
    proposed.pop_front();
    EXPECT_TRUE(master.outcome(now, next.tag, cell.apply_encoded(next.command), view(), out));
    drain();
  }
  void fail_one(Code code) {
    const auto next = std::move(proposed.front());
    proposed.pop_front();
    EXPECT_TRUE(master.outcome(now, next.tag, fail(code, "so"), view(), out));
    drain();
  }
  Command next_proposed() const { return *Command::decode(proposed.front().command); }

  SessionId open(uint64_t n, bool caching = true, const Bytes& principal = "ann") {
    tell(wire::Do{CallId(++calls), 5000, {}, {}, {}, OpenSession{nonce_of(n), 10'000, caching}}, principal);
    apply_all();
    return std::get<Opened>(last_reply().outcome).session;
  }
  void put(SessionId session, uint64_t number, const Bytes& path, const Bytes& principal = "ann") {
    tell(wire::Do{CallId(++calls), 5000, session, CommandNumber(number), CommandNumber(number - 1),
                  Txn{{}, {Put{path, "x"}}, {}}},
         principal);
  }
  wire::Lease beat(SessionId session, uint64_t seen, const Bytes& principal = "ann", uint64_t connection = 7) {
    sent.clear();
    tell(wire::KeepAlive{session, wire::Beat(1), Epoch(seen)}, principal, connection);
    return last<wire::Lease>().value_or(wire::Lease{});
  }
  wire::Fetched fetch(SessionId session, const Bytes& path, const Bytes& principal = "ann") {
    sent.clear();
    tell(wire::Fetch{CallId(++calls), 5000, session, path}, principal);
    return std::get<wire::Fetched>(last<wire::Result>()->result);
  }

  template <class Message>
  std::optional<Message> last() const {
    for (auto at = sent.rbegin(); at != sent.rend(); ++at)
      if (const auto* reverse = std::get_if<wire::Reverse>(&at->message))
        if (const auto* message = std::get_if<Message>(&reverse->message)) return *message;
    return std::nullopt;
  }
  Reply last_reply() const { return std::get<Reply>(last<wire::Result>()->result); }
  std::optional<wire::Refused> last_refused() const {
    const auto result = last<wire::Result>();
    const auto* refused = result ? std::get_if<wire::Refused>(&result->result) : nullptr;
    return refused ? std::optional(*refused) : std::nullopt;
  }
  size_t given_back() const {
    return static_cast<size_t>(
        std::ranges::count_if(sent, [](const auto& s) { return std::holds_alternative<wire::NotMaster>(s.message); }));
  }
};

struct MasterOfTwo : testing::Test {
  Leading m;
  SessionId reader, writer;
  void SetUp() override {
    m.lead(1);
    reader = m.open(1);
    writer = m.open(2, false);
    m.put(writer, 1, "/f");
    m.apply_all();
    EXPECT_EQ(m.beat(reader, 1).cache_ms, kCacheLeaseMs);
  }
};

TEST_F(MasterOfTwo, AWriteWaitsUntilCopiesAreDropped) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.put(writer, 2, "/f");
  EXPECT_TRUE(m.proposed.empty());
  const auto invalidate = m.last<wire::Invalidate>();
  ASSERT_TRUE(invalidate);
  EXPECT_EQ(invalidate->paths, std::vector<Bytes>{"/f"});
  EXPECT_EQ(invalidate->session, reader);
  m.tell(wire::Dropped{reader, Epoch(2), invalidate->sequence});  // of another epoch: means nothing
  EXPECT_TRUE(m.proposed.empty());
  m.tell(wire::Dropped{reader, Epoch(1), invalidate->sequence});
  EXPECT_EQ(m.proposed.size(), 1u);
}

TEST_F(MasterOfTwo, AWriteWaitsNoLongerThanOneLeaseOfCopies) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.put(writer, 2, "/f");
  m.pass_ms(1000);
  EXPECT_EQ(m.beat(reader, 1).cache_ms, 0u);  // not prolonged while it has something to drop
  EXPECT_TRUE(m.last<wire::Invalidate>());    // and told again
  m.pass_ms(1000);
  EXPECT_TRUE(m.proposed.empty()) << "2 s by a slow clock are not over";
  m.pass_ms(100);
  EXPECT_EQ(m.proposed.size(), 1u);
}

TEST_F(MasterOfTwo, NothingIsKeptWhileAWriteIsUnderWay) {
  m.put(writer, 2, "/f");
  EXPECT_FALSE(m.fetch(reader, "/f").keep);
  EXPECT_TRUE(m.fetch(reader, "/g").keep);
  m.apply_all();
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
}

TEST_F(MasterOfTwo, AWriteOfUnknownOutcomeIsUnderWayUntilTheEpochEnds) {
  m.put(writer, 2, "/f");
  m.fail_one(Code::Timeout);
  EXPECT_EQ(m.last_refused()->fate, wire::Refused::Fate::Unknown);
  EXPECT_FALSE(m.fetch(reader, "/f").keep);
  m.lead(2);
  m.beat(reader, 2);
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
}

TEST_F(MasterOfTwo, AbsenceIsACopyToo) {
  EXPECT_TRUE(m.fetch(reader, "/none").keep);
  m.put(writer, 2, "/none");
  EXPECT_TRUE(m.proposed.empty());
}

TEST_F(MasterOfTwo, DeletingASubtreeCallsBackWhatIsBeneath) {
  EXPECT_TRUE(m.fetch(reader, "/d/a").keep);
  EXPECT_TRUE(m.fetch(reader, "/d/b/c").keep);
  EXPECT_TRUE(m.fetch(reader, "/da").keep);
  m.tell(wire::Do{CallId(90), 5000, {}, {}, {}, Txn{{}, {}, {DeleteSubtree{"/d", 9}}}});
  const auto invalidate = m.last<wire::Invalidate>();
  EXPECT_EQ(invalidate->prefixes, std::vector<Bytes>{"/d"});
  EXPECT_TRUE(invalidate->paths.empty());
  EXPECT_TRUE(m.proposed.empty());
  EXPECT_FALSE(m.fetch(reader, "/d/new").keep);
  m.tell(wire::Dropped{reader, Epoch(1), invalidate->sequence});
  EXPECT_EQ(m.proposed.size(), 1u);
  EXPECT_EQ(m.master.figures().copies, 1u);
}

TEST_F(MasterOfTwo, ACopyThatMustGoIsNotPromisedAgain) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.tell(wire::Do{CallId(90), 10, {}, {}, {}, Txn{{}, {Put{"/f", "y"}}, {}}});
  m.pass_ms(20);
  EXPECT_EQ(m.last_refused()->fate, wire::Refused::Fate::NotDone);  // its deadline came first
  EXPECT_FALSE(m.fetch(reader, "/f").keep) << "the answer to the Invalidate would let it be forgotten";
  m.tell(wire::Dropped{reader, Epoch(1), 1});
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
}

TEST_F(MasterOfTwo, WhoHasNoLeaseOrDoesNotCacheKeepsNothing) {
  EXPECT_FALSE(m.fetch(writer, "/f").keep);
  EXPECT_FALSE(m.fetch(reader, "/f", "ben").keep);
  EXPECT_FALSE(m.fetch({}, "/f").keep);
  m.pass_ms(3000);
  EXPECT_FALSE(m.fetch(reader, "/f").keep);
}

TEST_F(MasterOfTwo, FilesOfASessionThatEndsAreCalledBack) {
  m.tell(wire::Do{CallId(90), 5000, writer, CommandNumber(2), CommandNumber(1),
                  Txn{{}, {Put{"/eph", "", Put::Mode::Create, Put::Life::Ephemeral}}, {}}});
  m.apply_all();
  EXPECT_TRUE(m.fetch(reader, "/eph").keep);
  m.tell(wire::Do{CallId(91), 5000, writer, CommandNumber(3), CommandNumber(2), CloseSession{}});
  EXPECT_TRUE(m.proposed.empty());
  EXPECT_FALSE(m.fetch(reader, "/eph").keep);
  m.tell(wire::Dropped{reader, Epoch(1), 1});
  m.apply_all();
  EXPECT_FALSE(m.cell.file("/eph"));
  EXPECT_EQ(m.master.figures().sessions, 1u);
}

TEST_F(MasterOfTwo, CommandsOfASessionGoInOrder) {
  m.put(writer, 3, "/c");
  m.put(writer, 2, "/b");
  ASSERT_EQ(m.proposed.size(), 2u);
  EXPECT_EQ(m.next_proposed().number, CommandNumber(2));
  m.apply_all();
  EXPECT_TRUE(m.cell.file("/c"));
}

TEST_F(MasterOfTwo, ACommandBehindAHeldOneWaitsButItsCopiesAreCalledBackAhead) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  EXPECT_TRUE(m.fetch(reader, "/g").keep);
  m.put(writer, 2, "/f");
  m.put(writer, 3, "/g");
  EXPECT_EQ(m.last<wire::Invalidate>()->sequence, 2u);
  m.tell(wire::Dropped{reader, Epoch(1), 2});
  EXPECT_EQ(m.proposed.size(), 2u);
}

TEST_F(MasterOfTwo, ARepetitionIsNotProposedTwiceAndAnsweredWhereItWasAskedLast) {
  m.put(writer, 2, "/b");
  m.tell(wire::Do{CallId(95), 5000, writer, CommandNumber(2), CommandNumber(1), Txn{{}, {Put{"/b", "x"}}, {}}}, "ann",
         8);
  ASSERT_EQ(m.proposed.size(), 1u);
  m.apply_all();
  EXPECT_EQ(m.last<wire::Result>()->call, CallId(95));
  EXPECT_EQ(std::get<wire::Reverse>(m.sent.back().message).connection, ConnectionId(8));
  m.put(writer, 2, "/b");  // done already: the stored reply
  m.apply_all();
  EXPECT_FALSE(m.last_reply().refused);
  EXPECT_EQ(m.cell.file("/b")->stat.generation, 1u);
}

TEST_F(MasterOfTwo, ANumberThatWasNotProposedIsFree) {
  m.put(writer, 2, "/b");
  m.put(writer, 3, "/c");
  m.fail_one(Code::Unavailable);
  EXPECT_EQ(m.last_refused()->fate, wire::Refused::Fate::NotDone);
  m.apply_one();  // 3 came too early, and is not done either
  EXPECT_EQ(m.last_refused()->fate, wire::Refused::Fate::NotDone);
  m.put(writer, 2, "/b");
  m.put(writer, 3, "/c");
  m.apply_all();
  EXPECT_TRUE(m.cell.file("/c"));
}

TEST_F(MasterOfTwo, AnothersSessionIsNotTouched) {
  m.put(writer, 2, "/b", "ben");
  EXPECT_TRUE(m.proposed.empty());
  EXPECT_EQ(m.last_refused()->error.code, Code::Denied);
  EXPECT_EQ(m.beat(writer, 1, "ben").lease_ms, 0u);
  m.sent.clear();
  m.put(writer, 2, "/b", "");
  EXPECT_TRUE(m.sent.empty() && m.proposed.empty()) << "the cell itself sends no messages";
}

TEST_F(MasterOfTwo, ANewMasterLetsNoFileChangeUntilAllHaveCheckedIn) {
  m.lead(2);
  EXPECT_TRUE(m.master.figures().taking_over);
  m.put(writer, 2, "/f");
  EXPECT_TRUE(m.proposed.empty());
  m.tell(wire::Do{CallId(91), 5000, reader, CommandNumber(1), CommandNumber(), Lock{"/l"}});
  EXPECT_EQ(m.proposed.size(), 1u) << "what changes no file does not wait";
  m.apply_all();
  m.beat(reader, 1);
  EXPECT_TRUE(m.proposed.empty()) << "it may still have copies of epoch 1";
  m.beat(reader, 2);
  EXPECT_EQ(m.proposed.size(), 1u);
}

TEST_F(MasterOfTwo, ANewMasterWaitsNoLongerThanOneLeaseOfCopies) {
  m.lead(2);
  m.put(writer, 2, "/f");
  m.pass_ms(2000);
  EXPECT_TRUE(m.proposed.empty());
  m.pass_ms(100);
  EXPECT_EQ(m.proposed.size(), 1u);
}

TEST_F(MasterOfTwo, LeasesAreRenewedOnlyWhileTheLeadersLeaseHolds) {
  m.may_read = false;
  EXPECT_EQ(m.beat(reader, 1), wire::Lease{});
  EXPECT_TRUE(m.sent.empty());
  m.pass_ms(9000);
  m.may_read = true;
  m.pass_ms(0);
  EXPECT_EQ(m.last<wire::Lease>()->lease_ms, 10'000u) << "it waited";
}

TEST_F(MasterOfTwo, SessionsExpireAndAreNotRenewedAnyMore) {
  m.pass_ms(10'050);
  EXPECT_TRUE(m.proposed.empty()) << "10 s by a slow clock are not over";
  EXPECT_EQ(m.beat(writer, 1).lease_ms, 10'000u);
  m.pass_ms(300);
  ASSERT_EQ(m.proposed.size(), 1u);
  EXPECT_EQ(std::get<Expire>(m.next_proposed().body).sessions, std::vector{reader});
  EXPECT_EQ(m.beat(reader, 1), wire::Lease{});
  m.fail_one(Code::Unavailable);
  m.pass_ms(60);
  ASSERT_EQ(m.proposed.size(), 1u);
  m.apply_all();
  EXPECT_EQ(m.beat(reader, 1).lease_ms, 0u);
  EXPECT_EQ(m.last<wire::Lease>()->session, reader);
  EXPECT_EQ(m.beat(writer, 1).lease_ms, 10'000u);
}

TEST(Master, ExpiriesAreCutIntoPieces) {
  MasterOptions options;
  options.expire_holds_max = 4;
  Leading m(options);
  m.lead(1);
  for (uint64_t i = 1; i <= 5; ++i) {
    const SessionId session = m.open(i);
    m.tell(wire::Do{CallId(90 + i), 5000, session, CommandNumber(1), {}, Lock{"/l" + std::to_string(i)}});
    m.tell(wire::Do{CallId(95 + i), 5000, session, CommandNumber(2), {}, Lock{"/m" + std::to_string(i)}});
    m.apply_all();
  }
  m.pass_ms(20'000);
  std::vector<size_t> pieces;
  while (!m.proposed.empty()) {
    const Command next = m.next_proposed();
    if (const auto* expire = std::get_if<Expire>(&next.body)) pieces.push_back(expire->sessions.size());
    m.apply_one();
  }
  EXPECT_EQ(pieces, (std::vector<size_t>{2, 2, 1}));
  EXPECT_EQ(m.cell.counters().sessions, 0u);
}

TEST_F(MasterOfTwo, TakingOverGivesEverySessionAFullLease) {
  m.pass_ms(9000);
  m.lead(2);
  m.pass_ms(9000);
  EXPECT_TRUE(m.proposed.empty());
}

TEST_F(MasterOfTwo, ALockDelayEndsByATickOfTheMaster) {
  m.tell(
      wire::Do{CallId(90), 5000, reader, CommandNumber(1), {}, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 3000}});
  m.apply_all();
  m.beat(writer, 1);
  m.pass_ms(9000);
  m.beat(writer, 1);
  m.pass_ms(2000);
  m.apply_all();
  EXPECT_TRUE(m.cell.lock("/l").delayed_until);
  m.pass_ms(2900);
  EXPECT_TRUE(m.proposed.empty());
  m.pass_ms(200);
  ASSERT_EQ(m.proposed.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Tick>(m.next_proposed().body));
  m.apply_all();
  EXPECT_TRUE(m.cell.lock("/l").idle());
}

TEST_F(MasterOfTwo, TheCellsTimeIsTheMonotonicClocksNotTheWalls) {
  m.tell(wire::Do{
      CallId(90), 5000, reader, CommandNumber(1), {}, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 60'000}});
  m.apply_all();
  m.pass_ms(11'000);
  m.apply_all();
  const ClusterTime before = m.cell.counters().time;
  m.lead(2, static_cast<int64_t>(before.value) + 3'600'000'000);
  m.now = m.now + ns_of_ms(50);
  m.tell(wire::Do{CallId(91), 5000, {}, {}, {}, Txn{{}, {Put{"/x", ""}}, {}}});
  m.pass_ms(3000);
  ASSERT_FALSE(m.proposed.empty());
  EXPECT_LE(m.next_proposed().time.value, before.value + 4'000'000) << "a delay runs: the wall clock is not followed";
}

TEST_F(MasterOfTwo, WhoDoesNotLeadTakesNothingUp) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.put(writer, 2, "/f");                                                        // held
  m.tell(wire::Do{CallId(95), 5000, {}, {}, {}, Txn{{}, {Put{"/g", ""}}, {}}});  // proposed
  m.sent.clear();
  m.master.follow(m.out);
  m.drain();
  EXPECT_EQ(m.given_back(), 1u);
  m.put(writer, 2, "/f");
  m.tell(wire::Fetch{CallId(96), 5000, reader, "/f"});
  EXPECT_EQ(m.given_back(), 3u);
  m.apply_all();  // what was proposed is answered all the same
  EXPECT_EQ(m.last<wire::Result>()->call, CallId(95));
}

TEST_F(MasterOfTwo, HeldCommandsAreBounded) {
  MasterOptions options;
  options.held_commands_max = 2;
  Leading b(options);
  b.lead(1);
  const SessionId session = b.open(1);
  for (const uint64_t number : {3, 4, 5}) b.put(session, number, "/f");
  EXPECT_EQ(b.last_refused()->error.code, Code::Unavailable);
  EXPECT_EQ(b.last_refused()->fate, wire::Refused::Fate::NotDone);
  b.pass_ms(5001);
  EXPECT_EQ(b.master.figures().held_commands, 0u) << "held no longer than their deadlines";
}

TEST_F(MasterOfTwo, APrincipalsCommandsLeaveRoomForAnothers) {
  MasterOptions options;
  options.held_commands_max = 8;
  Leading b(options);
  b.lead(1);
  const SessionId ann = b.open(1), ben = b.open(2, false, "ben");
  for (uint64_t number = 3; number < 13; ++number) b.put(ann, number, "/f");
  EXPECT_EQ(b.master.figures().held_commands, 4u);
  EXPECT_EQ(b.last_refused()->error.code, Code::Unavailable);
  b.put(ben, 3, "/f", "ben");
  EXPECT_EQ(b.master.figures().held_commands, 5u);
}

TEST_F(MasterOfTwo, DeadlinesOfCommandsThatAreDoneAreForgotten) {
  for (uint64_t i = 0; i < 6000; ++i) {
    m.tell(wire::Do{CallId(++m.calls), 600'000, {}, {}, {}, Txn{{}, {Put{"/g", "x"}}, {}}});
    m.fail_one(Code::Unavailable);
    m.sent.clear();
  }
  EXPECT_LE(m.master.figures().timers, 4500u);
  m.now = m.now + ns_of_ms(30'000);
  m.tick();
  EXPECT_EQ(m.proposed.size(), 1u) << "sessions expire all the same";
}

TEST_F(MasterOfTwo, NewRulesCallEverythingBack) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.tell(wire::Do{CallId(90), 5000, {}, {}, {}, SetRules{"ben", {{"/", kAllRights}}}});
  EXPECT_TRUE(m.proposed.empty());
  m.tell(wire::Dropped{reader, Epoch(1), 1});
  m.apply_all();
  m.sent.clear();
  m.tell(wire::Fetch{CallId(91), 5000, reader, "/f"});
  EXPECT_EQ(m.last_refused()->error.code, Code::Denied);
}

struct MasterWithRules : MasterOfTwo {
  SessionId eve;
  void SetUp() override {
    MasterOfTwo::SetUp();
    set_rules(2, "ann", {{"/", kAllRights}});
    set_rules(3, "eve", {{"/e", kAllRights}});
    m.apply_all();
    eve = m.open(3, false, "eve");
    EXPECT_LT(writer, eve);
  }
  void set_rules(uint64_t number, const Bytes& principal, std::vector<Rule> rules) {
    m.tell(wire::Do{CallId(++m.calls), 5000, writer, CommandNumber(number), {}, SetRules{principal, std::move(rules)}});
  }
};

TEST_F(MasterWithRules, WhoHasNoRightMakesNobodyWait) {
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.put(eve, 1, "/f", "eve");
  EXPECT_EQ(m.proposed.size(), 1u);
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
  m.apply_all();
  EXPECT_EQ(m.last_reply().refused->code, Code::Denied);
  m.put(eve, 1, "/f", "eve");
  m.apply_all();
  EXPECT_EQ(m.last_reply().refused->code, Code::Denied) << "the reply was kept";
  m.tell(wire::Do{CallId(90), 5000, {}, {}, {}, SetRules{"eve", {{"/", kAllRights}}}}, "eve");
  EXPECT_EQ(m.proposed.size(), 1u);
  EXPECT_FALSE(m.last<wire::Invalidate>());
}

TEST_F(MasterWithRules, NewRulesThatAreProposedFirstMakeItWait) {
  EXPECT_TRUE(m.fetch(reader, "/e").keep);
  m.put(eve, 1, "/e", "eve");  // waits for the reader
  m.put(eve, 2, "/f", "eve");  // would be refused
  set_rules(4, "eve", {{"/", kAllRights}});
  EXPECT_TRUE(m.proposed.empty());
  m.tell(wire::Dropped{reader, Epoch(1), 1});
  ASSERT_EQ(m.proposed.size(), 3u);
  ASSERT_TRUE(std::holds_alternative<SetRules>(m.next_proposed().body));
  m.apply_one();
  EXPECT_FALSE(m.fetch(reader, "/f").keep);
  m.apply_all();
  EXPECT_FALSE(m.last_reply().refused);
  EXPECT_TRUE(m.fetch(reader, "/f").keep);
}

}  // namespace
}  // namespace hailstone::cell
