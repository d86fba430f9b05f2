// The coherent cache: what may be kept, how long, what makes it go; joined reads; the store itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/client_testing.h"

namespace hailstone::cell::client {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

wire::Result::Fetched fetched(const Bytes& content, uint64_t sequence = 0, wire::Epoch epoch = wire::Epoch(1)) {
  return {.revision = Revision(3), .file = File{{}, content}, .epoch = epoch, .sequence = sequence, .keep = true};
}

class Caching : public Scripted {
 public:
  explicit Caching(const Options& options = test_options()) : Scripted(options) { start(); }

  wire::Fetch asked(const Bytes& path) {
    read(path);
    return next<wire::Fetch>();
  }
  void fetch(const Bytes& path, const Bytes& content = "x") { say(wire::Result{asked(path).call, fetched(content)}); }
  bool has(ByteView path) { return core.cached(path, now_ns) != nullptr; }
  void invalidate(uint64_t sequence, std::vector<Bytes> paths, std::vector<Bytes> prefixes = {}) {
    say(wire::Invalidate{SessionId(5), epoch, sequence, std::move(paths), std::move(prefixes)});
  }
};

TEST(ClientCache, AKeptCopyAnswersAtOnce) {
  Caching c;
  const Tag first = c.read("/a");
  c.say(wire::Result{c.next<wire::Fetch>().call, fetched("one")});
  EXPECT_EQ(std::get<Copy>(c.end_of(first)->value).file->content, "one");
  ASSERT_TRUE(c.has("/a"));
  EXPECT_EQ(c.core.cached("/a", c.now_ns)->file->content, "one");
  const Tag second = c.read("/a");
  EXPECT_EQ(std::get<Copy>(c.end_of(second)->value).file->content, "one");
  EXPECT_TRUE(c.sent.empty());
}

TEST(ClientCache, AbsenceIsKeptToo) {
  Caching c;
  c.say(wire::Result{c.asked("/a").call,
                     wire::Result::Fetched{.revision = Revision(3), .epoch = wire::Epoch(1), .keep = true}});
  ASSERT_TRUE(c.has("/a"));
  EXPECT_FALSE(c.core.cached("/a", c.now_ns)->file);
}

TEST(ClientCache, WhatTheMasterDoesNotWantKeptIsNot) {
  Caching c;
  auto answer = fetched("x");
  answer.keep = false;
  c.say(wire::Result{c.asked("/a").call, answer});
  EXPECT_FALSE(c.has("/a"));
}

TEST(ClientCache, EndsWithTheCacheLeaseByTheClientsClock) {
  Caching c;
  const int64_t lease_since_ns = c.now_ns;
  c.fetch("/a");
  c.lose();
  c.pass_ns(lease_since_ns + 1'980 * kMs - 1 - c.now_ns);
  EXPECT_TRUE(c.has("/a"));
  c.sleep_ms(1);  // without a tick: the reader's clock decides
  EXPECT_FALSE(c.has("/a"));
}

TEST(ClientCache, KeepAlivesCarryTheCacheLeaseWhileSomethingIsCached) {
  Caching c;
  c.fetch("/a");
  for (int i = 0; i < 20; ++i) {
    c.pass_ms(667);
    c.answer_beat();
    EXPECT_TRUE(c.has("/a"));
  }
  c.invalidate(1, {"/a"});
  c.pass_ms(2'990);
  EXPECT_FALSE(c.maybe_next<wire::KeepAlive>());
}

TEST(ClientCache, ALeaseRenewedAfterItsEndRevivesNothing) {
  Caching c;
  c.fetch("/a");
  c.lose();
  c.sleep_ms(1'981);
  c.connect();
  c.answer_beat();
  EXPECT_FALSE(c.has("/a"));
}

TEST(ClientCache, AFetchOverAGapInTheLeaseIsNotKept) {
  Caching c;
  const auto out = c.asked("/a");
  c.pass_ms(1'980);
  c.pass_ms(1'020);
  c.answer_beat();  // a new lease; between, a writer need not have waited
  c.say(wire::Result{out.call, fetched("old")});
  EXPECT_FALSE(c.has("/a"));
}

TEST(ClientCache, WithoutALeaseAFetchAsksForOneForTheNext) {
  Caching c;
  c.pass_ms(2'500);
  c.read("/a");
  ASSERT_EQ(c.sent.size(), 2u);
  c.answer_beat();
  c.say(wire::Result{c.next<wire::Fetch>().call, fetched("x")});
  EXPECT_FALSE(c.has("/a"));
  c.fetch("/a");
  EXPECT_TRUE(c.has("/a"));
}

TEST(ClientCache, InvalidateDropsThenSaysSo) {
  Caching c;
  for (const char* path : {"/a", "/d", "/d/e", "/d/e/f", "/da"}) c.fetch(path);
  c.invalidate(1, {"/a"}, {"/d/e"});
  const auto dropped = c.next<wire::Dropped>();
  EXPECT_EQ(dropped, (wire::Dropped{SessionId(5), wire::Epoch(1), 1}));
  EXPECT_FALSE(c.has("/a") || c.has("/d/e") || c.has("/d/e/f"));
  EXPECT_TRUE(c.has("/d") && c.has("/da"));
}

TEST(ClientCache, ALostInvalidateTakesAllWithIt) {
  Caching c;
  c.fetch("/a");
  c.fetch("/b");
  c.invalidate(3, {"/b"});  // what did 1 and 2 name?
  EXPECT_FALSE(c.has("/a"));
  EXPECT_EQ(c.next<wire::Dropped>().sequence, 3u);
}

TEST(ClientCache, AnInvalidateThatOvertakesTheAnswerIsAboutItsCopy) {
  Caching c;
  const auto a = c.asked("/a"), b = c.asked("/b");
  c.invalidate(1, {"/a"});
  c.say(wire::Result{a.call, fetched("old", 0)});
  c.say(wire::Result{b.call, fetched("fine", 0)});
  EXPECT_FALSE(c.has("/a"));
  EXPECT_TRUE(c.has("/b"));
}

TEST(ClientCache, AnAnswerMadeAfterTheInvalidateIsKept) {
  Caching c;
  const auto a = c.asked("/a");
  c.invalidate(1, {"/a"});
  c.say(wire::Result{a.call, fetched("new", 1)});
  EXPECT_TRUE(c.has("/a"));
}

TEST(ClientCache, ANewEpochHeardOfInAnythingDropsAllBeforeItIsConfirmed) {
  const std::vector<std::function<void(Caching&)>> ways{
      [](Caching& c) {
        c.pass_ms(700);
        c.say(wire::Lease{SessionId(5), c.next<wire::KeepAlive>().beat, wire::Epoch(2), 9'000, 2'000});
      },
      [](Caching& c) { c.say(wire::Result{c.asked("/b").call, fetched("x", 0, wire::Epoch(2))}); },
      [](Caching& c) { c.say(wire::Invalidate{SessionId(5), wire::Epoch(2), 1, {"/q"}, {}}); },
  };
  for (const auto& hear : ways) {
    Caching c;
    c.fetch("/a");
    const auto out = c.asked("/z");
    hear(c);
    EXPECT_FALSE(c.has("/a"));
    EXPECT_FALSE(c.has("/b"));
    EXPECT_EQ(c.next<wire::KeepAlive>().seen, wire::Epoch(2));
    c.say(wire::Result{out.call, fetched("old", 0, wire::Epoch(1))});
    EXPECT_FALSE(c.has("/z"));
  }
}

TEST(ClientCache, ADeposedMastersCopyIsNotKept) {
  Caching c;
  c.say(wire::Invalidate{SessionId(5), wire::Epoch(2), 1, {"/q"}, {}});
  c.epoch = wire::Epoch(2);
  c.answer_beat();  // leases run in the new epoch
  c.say(wire::Result{c.asked("/z").call, fetched("old", 0, wire::Epoch(1))});
  EXPECT_FALSE(c.has("/z"));
  c.fetch("/z");
  EXPECT_FALSE(c.has("/z"));
  c.say(wire::Result{c.asked("/z").call, fetched("new", 1, wire::Epoch(2))});
  EXPECT_TRUE(c.has("/z"));
}

TEST(ClientCache, AnOldEpochsInvalidateIsNotConfirmed) {
  Caching c;
  c.say(wire::Invalidate{SessionId(5), wire::Epoch(2), 1, {"/q"}, {}});
  c.sent.clear();
  c.invalidate(1, {"/a"});
  EXPECT_TRUE(c.sent.empty());
}

TEST(ClientCache, JeopardyTurnsItOff) {
  Caching c;
  c.pass_ms(3'000);
  c.answer_beat(9'000, 60'000);
  c.fetch("/a");
  c.lose();
  c.pass_ms(8'909);
  EXPECT_TRUE(c.has("/a"));
  c.sleep_ms(1);
  EXPECT_FALSE(c.has("/a"));
  c.pass_ms(0);
  EXPECT_EQ(c.core.cache().entries(), 0u);
  c.connect();
  c.read("/b");  // still possible, but not cached
  EXPECT_TRUE(c.maybe_next<wire::Ask>());
}

TEST(ClientCache, ReadsOfOnePathGoTogetherIfTheCopyIsKept) {
  Caching c;
  const Tag first = c.read("/a"), second = c.read("/a");
  const auto out = c.next<wire::Fetch>();
  EXPECT_TRUE(c.sent.empty());
  c.say(wire::Result{out.call, fetched("x")});
  EXPECT_EQ(c.verdict(first), Verdict::Done);
  EXPECT_EQ(c.verdict(second), Verdict::Done);
}

TEST(ClientCache, WhoJoinedAnAnswerThatIsNotKeptIsAskedForAgain) {
  Caching c;
  const Tag first = c.read("/a");
  const auto out = c.next<wire::Fetch>();
  const Tag second = c.read("/a"), third = c.read("/a");
  auto answer = fetched("old");
  answer.keep = false;
  c.say(wire::Result{out.call, answer});
  EXPECT_EQ(c.verdict(first), Verdict::Done);
  EXPECT_FALSE(c.verdict(second));
  answer.file->content = "new";
  c.say(wire::Result{c.next<wire::Fetch>().call, answer});
  for (const Tag tag : {second, third}) EXPECT_EQ(std::get<Copy>(c.end_of(tag)->value).file->content, "new");
}

TEST(ClientCache, ARefusedFetchIsAskedOtherwiseOrTold) {
  Caching c;
  const Tag tag = c.read("/a");
  c.refuse(c.next<wire::Fetch>().call, Code::NotFound, wire::Result::Refused::Fate::NotDone);
  c.pass_ms(10);
  c.refuse(c.next<wire::Fetch>().call, Code::Denied, wire::Result::Refused::Fate::NotDone);
  EXPECT_EQ(c.verdict(tag), Verdict::Refused);
}

TEST(ClientCache, EachReaderHasItsOwnDeadline) {
  Caching c;
  const Tag hasty = c.read("/a", 100), patient = c.read("/a", 2'000);
  c.pass_ms(100);
  EXPECT_EQ(c.verdict(hasty), Verdict::NotDone);
  EXPECT_FALSE(c.verdict(patient));
  c.say(wire::Result{c.next<wire::Fetch>().call, fetched("x")});
  EXPECT_EQ(c.verdict(patient), Verdict::Done);
}

TEST(ClientCache, ACacheLeaseThatIsNotProlongedOnceIsAskedForAgainSoon) {
  Caching c;
  c.fetch("/a");
  c.pass_ms(700);
  c.answer(c.next<wire::KeepAlive>(), 9'000, 0);  // the master waits for a Dropped
  EXPECT_TRUE(c.has("/a"));
  c.pass_ms(700);
  c.answer_beat();
  c.pass_ms(1'000);
  EXPECT_TRUE(c.has("/a"));
}

TEST(ClientCache, NorIsItForgottenWhenItLapses) {
  Caching c;
  c.pass_ms(3'100);
  c.answer(c.next<wire::KeepAlive>(), 9'000, 0);
  c.core.read(c.new_tag(), "/a", kNever, c.now_ns);
  c.drain();
  c.answer_beat();  // at once, so that what is fetched next can be kept
}

// ---- copies that other threads read ----

Options told_of_drops() {
  Options options = test_options();
  options.drops = Options::Drops::Told;
  options.cache_entries_max = 2;
  return options;
}

/// What the output of one input says, before it is carried out.
std::vector<Bytes> dropped_by(Caching& c, const std::function<void()>& input) {
  for (const char* path : {"/a", "/b"})
    if (!c.has(path)) c.fetch(path);
  EXPECT_GT(c.core.copies_end_ns(), c.now_ns);
  input();
  return c.core.output().dropped;
}

TEST(ClientCacheLent, WhatAnInvalidateDropsIsNamedWithTheMessageThatConfirmsIt) {
  Caching c(told_of_drops());
  const auto invalidate = [&](uint64_t sequence, std::vector<Bytes> paths, std::vector<Bytes> prefixes) {
    c.core.on_message(wire::Invalidate{SessionId(5), c.epoch, sequence, std::move(paths), std::move(prefixes)},
                      c.now_ns);
  };
  EXPECT_THAT(dropped_by(c, [&] { invalidate(1, {"/a", "/never"}, {}); }), ElementsAre("/a"));
  ASSERT_EQ(c.core.output().messages.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<wire::Dropped>(c.core.output().messages[0]));
  c.drain();
  EXPECT_THAT(dropped_by(c, [&] { invalidate(2, {}, {"/b"}); }), ElementsAre("/b"));
  c.drain();
  EXPECT_THAT(dropped_by(c, [&] { invalidate(9, {"/z"}, {}); }), UnorderedElementsAre("/a", "/b"));
}

TEST(ClientCacheLent, SoIsWhatLeavesItOtherwise) {
  const std::vector<std::pair<const char*, std::function<void(Caching&)>>> ways{
      {"lease", [](Caching& c) { c.core.on_tick(c.now_ns += 2'000 * kMs); }},
      {"epoch",
       [](Caching& c) { c.core.on_message(wire::Invalidate{SessionId(5), wire::Epoch(2), 1, {"/q"}, {}}, c.now_ns); }},
      {"close", [](Caching& c) { c.core.close(c.new_tag(), kNever, c.now_ns); }},
      {"end",
       [](Caching& c) {
         c.pass_ms(700);
         c.core.on_message(wire::Lease{SessionId(5), c.next<wire::KeepAlive>().beat, c.epoch, 0, 0}, c.now_ns);
       }},
  };
  for (const auto& [name, way] : ways) {
    Caching c(told_of_drops());
    EXPECT_THAT(dropped_by(c, [&] { way(c); }), UnorderedElementsAre("/a", "/b")) << name;
    EXPECT_LE(c.core.copies_end_ns(), c.now_ns) << name;
  }
  Caching c(told_of_drops());
  const auto third = [&] { c.core.on_message(wire::Result{c.asked("/c").call, fetched("x")}, c.now_ns); };
  EXPECT_THAT(dropped_by(c, third), ElementsAre("/a"));
}

TEST(ClientCacheLent, TheEndRisesWithTheLease) {
  Caching c(told_of_drops());
  c.fetch("/a");
  const int64_t before_ns = c.core.copies_end_ns();
  c.pass_ms(700);
  EXPECT_EQ(c.core.copies_end_ns(), before_ns);
  c.answer_beat();
  EXPECT_GT(c.core.copies_end_ns(), before_ns + 600 * kMs);
  EXPECT_LE(c.core.copies_end_ns(), c.now_ns + 1'980 * kMs);
}

TEST(ClientCacheLent, NobodyPaysWhoDidNotAsk) {
  Caching c;
  EXPECT_THAT(dropped_by(c, [&] { c.core.close(c.new_tag(), kNever, c.now_ns); }), ElementsAre());
  EXPECT_EQ(c.core.cache().entries(), 0u);
}

// ---- the store ----

Copy copy_of(size_t bytes) { return {File{{}, Bytes(bytes, 'x')}, Revision(1)}; }

TEST(ClientCacheStore, IsBoundedByEntriesAndBytes) {
  Cache cache(3, 10'000);
  for (const char* path : {"/1", "/2", "/3", "/4"}) cache.put(path, copy_of(10));
  EXPECT_EQ(cache.entries(), 3u);
  cache.put("/big", copy_of(9'000));
  EXPECT_LE(cache.bytes(), 10'000u);
  EXPECT_TRUE(cache.find("/big"));
  cache.put("/bigger", copy_of(20'000));
  EXPECT_FALSE(cache.find("/bigger"));
  cache.clear();
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(ClientCacheStore, WhatIsUsedStays) {
  Cache cache(3, 1 << 20);
  for (const char* path : {"/1", "/2", "/3"}) cache.put(path, copy_of(10));
  cache.find("/1");
  cache.find("/3");
  cache.put("/4", copy_of(10));
  EXPECT_TRUE(cache.find("/1") && cache.find("/3") && cache.find("/4"));
  EXPECT_FALSE(cache.find("/2"));
}

TEST(ClientCacheStore, DroppingWhereTheHandIsKeepsItWhole) {
  Cache cache(2, 1 << 20);
  for (const char* path : {"/1", "/2", "/3"}) cache.put(path, copy_of(10));
  cache.drop("/2");
  cache.drop("/3");
  cache.drop("/3");
  for (const char* path : {"/4", "/5", "/6"}) cache.put(path, copy_of(10));
  EXPECT_EQ(cache.entries(), 2u);
  EXPECT_EQ(cache.bytes(), 2 * (Cache::kEntryBytes + 12));
}

}  // namespace
}  // namespace hailstone::cell::client
