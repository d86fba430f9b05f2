// Events: each change once, in order, or "compacted".
#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

Settings with_history(uint64_t events, uint64_t bytes = 1 << 20) {
  Settings settings;
  settings.history_events_max = events;
  settings.history_bytes_max = bytes;
  return settings;
}

TEST(History, EventCountEqualsChangeCount) {
  // CLD: events were sent twice, or not at all when two changes fell together.
  TestCell cell;
  uint64_t changes = 0;
  for (int round = 0; round < 10; ++round) {
    for (const char* path : {"/a", "/d/b", "/d/c"}) {
      cell.put(path, fmt::format("{}", round));
      ++changes;
    }
    cell.cell(Txn{{}, {Put{"/a", "x"}, Put{"/a", "y"}, Delete{"/d/b"}}, {}});
    changes += 3;
    EXPECT_TRUE(cell.remove("/missing").refused);
  }
  EXPECT_EQ(cell.events_since({}).size(), changes);
  EXPECT_EQ(cell.counters().history_events, changes);
  EXPECT_EQ(cell.counters().revision, Revision(40));
}

TEST(History, AReaderThatResumesGetsEachEventOnceInOrder) {
  TestCell cell;
  Revision at;
  std::vector<EventBatch::Item> seen;
  for (int i = 0; i < 50; ++i) {
    cell.cell(Txn{{}, {Put{fmt::format("/w/{}", i % 7), ""}, Put{"/other", ""}, Put{"/w/x", ""}}, {}});
    if (i % 3 > 0) continue;
    const auto batch = *events_after(cell.database(), at, "/w", 1);
    EXPECT_FALSE(batch.compacted);
    seen.insert(seen.end(), batch.events.begin(), batch.events.end());
    at = batch.upto;
  }
  for (;;) {
    const auto batch = *events_after(cell.database(), at, "/w", 5);
    if (batch.upto == at) break;
    seen.insert(seen.end(), batch.events.begin(), batch.events.end());
    at = batch.upto;
  }
  ASSERT_EQ(seen.size(), 100u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].revision, Revision(i / 2 + 1));
    EXPECT_EQ(seen[i].event.path, i % 2 ? "/w/x" : fmt::format("/w/{}", i / 2 % 7));
  }
}

TEST(History, ForgetsBeyondItsBoundsAndSaysSo) {
  TestCell cell;
  cell.cell(ChangeSettings{with_history(10)});
  for (int i = 0; i < 30; ++i) cell.put("/a", "x");
  const Counters counters = cell.counters();
  EXPECT_EQ(counters.history_events, 10u);
  EXPECT_EQ(counters.floor, Revision(21));
  const auto lost = *events_after(cell.database(), Revision(20), "/", 100);
  EXPECT_EQ(lost.compacted, Revision(21));
  EXPECT_TRUE(lost.events.empty());
  const auto kept = *events_after(cell.database(), Revision(21), "/", 100);
  EXPECT_FALSE(kept.compacted);
  EXPECT_EQ(kept.events.size(), 10u);
  EXPECT_EQ(kept.upto, counters.revision);
}

TEST(History, BytesAreBoundedToo) {
  TestCell cell;
  cell.cell(ChangeSettings{with_history(1'000'000, 500)});
  for (int i = 0; i < 100; ++i) cell.put("/" + Bytes(50, 'a'), "x");
  EXPECT_LE(cell.counters().history_bytes, 500u);
  EXPECT_GT(cell.counters().history_bytes, 400u);
  cell.cell(ChangeSettings{with_history(0)});
  EXPECT_EQ(cell.counters().floor, cell.counters().revision);
  EXPECT_EQ(cell.counters().history_bytes, 0u);
}

TEST(History, ARevisionAheadIsNotHereYet) {
  TestCell cell;
  cell.put("/a", "x");
  EXPECT_EQ(events_after(cell.database(), Revision(2), "/", 1).error().code, Code::Unavailable);
  const auto none = *events_after(cell.database(), Revision(1), "/", 1);
  EXPECT_TRUE(none.events.empty());
  EXPECT_EQ(none.upto, Revision(1));
}

TEST(History, TheEndOfASessionShowsByItsConsequences) {
  TestCell cell;
  const SessionId ann = cell.open();
  cell.in(ann, Txn{{}, {Put{"/e", "", Put::Mode::Create, Put::Life::Ephemeral}}, {}});
  cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 0});
  const Revision before = cell.counters().revision;
  cell.expire({ann});
  const auto events = cell.events_since(before);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, Event::Kind::Deleted);
  EXPECT_EQ(events[1].kind, Event::Kind::LockLost);
  EXPECT_EQ(events[1].session, ann);
}

TEST(History, SettingsAndRulesAreEventsOfTheRoot) {
  TestCell cell;
  cell.cell(ChangeSettings{});
  cell.cell(SetRules{"ann", {{"/", kAllRights}}});
  const auto events = cell.events_since({});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, Event::Kind::Settings);
  EXPECT_EQ(events[1].kind, Event::Kind::Rules);
  EXPECT_TRUE(cell.events_since({}, "/a").empty());
}

}  // namespace
}  // namespace hailstone::cell
