// Channels resolved from memory and by asking, over sockets, and what a flip, a lost session and a bound do to them.
#include "flip/live.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flip/testing.h"

namespace hailstone::flip {
namespace {

using testing::HasSubstr;

Change to(uint64_t release, Bytes channel = "current", Bytes volume = "repo") {
  return {.volume = std::move(volume),
          .id = VolumeId(7),
          .channel = std::move(channel),
          .release = ReleaseNumber(release),
          .recorded = UINT64_MAX};
}

class LiveTest : public testing::Test {
 protected:
  /// Until memory says it; the release, or 0.
  uint64_t known(LiveCache& cache, TestNode& node, ByteView channel = "current") {
    for (;;) {
      const auto asked = node.ask("repo", channel);
      EXPECT_TRUE(asked) << asked.error().message;
      if (!asked) return 0;
      if (const LivePtr& live = cache.get("repo", channel)) return live->file ? live->file->current().release.value : 0;
    }
  }

  TestCell cell;
};

TEST_F(LiveTest, IsAskedForOnceAndThenFromMemory) {
  TestNode node(cell);
  const auto cache = node.live->make_cache();
  ASSERT_TRUE(node.flip({to(3)}, {net::NodeId(9)}));
  EXPECT_EQ(cache->get("repo", "current"), nullptr);
  EXPECT_EQ(known(*cache, node), 3);
  const auto before = node.live->figures();
  for (int i = 0; i < 100; ++i) ASSERT_NE(cache->get("repo", "current"), nullptr);
  const auto after = node.live->figures();
  EXPECT_EQ(after.hits, before.hits + 100);
  EXPECT_EQ(after.waits, before.waits);
  const Live& live = *cache->get("repo", "current");
  EXPECT_TRUE(live.file->excludes(net::NodeId(9)));
  EXPECT_EQ(live.flips->back(), live.file->current());
  EXPECT_EQ(live.generation, 1);
}

TEST_F(LiveTest, AbsenceIsAnAnswerToBeKept) {
  TestNode node(cell);
  const auto cache = node.live->make_cache();
  EXPECT_EQ(known(*cache, node), 0);
  EXPECT_EQ(cache->get("repo", "current")->file, std::nullopt);
  ASSERT_TRUE(node.flip({to(1)}));
  const auto live = node.resolve(*cache, "repo", "current");
  ASSERT_TRUE(live);
  EXPECT_EQ((*live)->file->current().release, ReleaseNumber(1));
}

TEST_F(LiveTest, AFlipIsSeenByEveryNodeOnceItIsDone) {
  TestNode a(cell), b(cell), c(cell);
  const auto cache_a = a.live->make_cache(), cache_b = b.live->make_cache();
  for (uint64_t release = 1; release <= 50; ++release) {
    ASSERT_TRUE(c.flip({to(release), to(release, "testing")}));
    for (const Bytes channel : {"current", "testing"}) {
      EXPECT_EQ((*a.resolve(*cache_a, "repo", channel))->file->current().release, ReleaseNumber(release));
      EXPECT_EQ((*b.resolve(*cache_b, "repo", channel))->file->current().release, ReleaseNumber(release));
    }
  }
}

TEST_F(LiveTest, WhatIsReadIsReadAgainWithoutBeingAsked) {
  TestNode node(cell), other(cell);
  const auto cache = node.live->make_cache();
  ASSERT_TRUE(other.flip({to(1)}));
  ASSERT_EQ(known(*cache, node), 1);
  ASSERT_TRUE(other.flip({to(2)}));
  const LivePtr* live = nullptr;
  do live = &cache->get("repo", "current");
  while (*live == nullptr);
  EXPECT_EQ((*live)->file->current().release, ReleaseNumber(2));
  EXPECT_GE(node.live->figures().invalidations, 1);
}

TEST_F(LiveTest, SessionsAndMastersComeAndGo) {
  TestNode node(cell), other(cell);
  const auto cache = node.live->make_cache();
  for (uint64_t release = 1; release <= 6; ++release) {
    ASSERT_TRUE(other.flip({to(release)}));
    EXPECT_EQ((*node.resolve(*cache, "repo", "current"))->file->current().release, ReleaseNumber(release));
    EXPECT_EQ(known(*cache, node), release);
    if (release % 3 == 0) cell.cut_connections();
    if (release % 3 == 1) cell.new_master();
    if (release % 3 == 2) ASSERT_TRUE(node.thread.wait(node.client->close(kSoon)));
    if (release % 3 == 2) ASSERT_TRUE(node.thread.wait(node.client->open(kSoon)));
  }
}

TEST_F(LiveTest, UnavailableWhenNobodyCanSay) {
  TestNode node(cell);
  cell.set_silent(true);
  const auto answer = node.ask("repo", "current", {100});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Unavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("/channels/repo/current"));
  EXPECT_EQ(node.live->figures().failed, 1);
  EXPECT_EQ(node.live->figures().waiting, 0);
  cell.set_silent(false);
  EXPECT_TRUE(node.ask("repo", "current"));
}

TEST_F(LiveTest, WhoWaitsLongerIsNotRefusedWithWhoDoesNot) {
  TestNode node(cell);
  cell.set_silent(true);
  std::promise<Result<LivePtr>> longer;
  const int64_t now_ns = node.clock.monotonic_ns();
  std::promise<Result<LivePtr>> shorter;
  node.thread.run([&] {  // both before the first read begins
    node.live->resolve("repo", "current", now_ns + 50'000'000, [&](auto given) { shorter.set_value(given); });
    node.live->resolve("repo", "current", now_ns + 60'000'000'000, [&](auto given) { longer.set_value(given); });
  });
  EXPECT_EQ(shorter.get_future().get().error().code, Code::Unavailable);
  cell.set_silent(false);
  cell.cut_connections();
  EXPECT_TRUE(longer.get_future().get());
}

TEST_F(LiveTest, ADamagedFileIsAnErrorAndIsNotKept) {
  TestNode node(cell);
  const auto cache = node.live->make_cache();
  ASSERT_TRUE(node.thread.wait(node.client->put("/channels/repo/current", "junk", {}, kSoon)));
  EXPECT_EQ(node.ask("repo", "current").error().code, Code::Corrupt);
  EXPECT_EQ(cache->get("repo", "current"), nullptr);
  ASSERT_TRUE(node.thread.wait(node.client->remove("/channels/repo/current", 0, kSoon)));
  EXPECT_EQ(known(*cache, node), 0);
}

TEST_F(LiveTest, NamesAreChecked) {
  TestNode node(cell);
  EXPECT_EQ(node.ask("repo", "a/b").error().code, Code::Invalid);
  EXPECT_EQ(node.ask("re/po", "current").error().code, Code::Invalid);
}

TEST_F(LiveTest, ChannelsThatAreNotThereMakeRoomFirst) {
  TestNode node(cell, {.entries_max = 4});
  const auto cache = node.live->make_cache();
  ASSERT_TRUE(node.flip({to(5)}));
  ASSERT_EQ(known(*cache, node), 5);
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(known(*cache, node, "none-" + std::to_string(i)), 0);
    // It is asked for in between, as channels in use are.
    EXPECT_EQ((*node.resolve(*cache, "repo", "current"))->file->current().release, ReleaseNumber(5));
  }
  const auto figures = node.live->figures();
  EXPECT_EQ(figures.entries, 4);
  EXPECT_EQ(figures.invalidations, 0);
  ASSERT_TRUE(node.flip({to(6)}));
  EXPECT_EQ((*node.resolve(*cache, "repo", "current"))->file->current().release, ReleaseNumber(6));
}

TEST_F(LiveTest, WhoWaitsWhenItEndsIsTold) {
  TestNode node(cell);
  cell.set_silent(true);
  std::promise<Result<LivePtr>> waiting;
  node.live->resolve("repo", "current", INT64_MAX / 2, [&](auto given) { waiting.set_value(given); });
  node.thread.run([&] { node.live.reset(); });
  node.thread.run([&] { node.client->stop(); });
  EXPECT_EQ(waiting.get_future().get().error().code, Code::Unavailable);
  node.thread.run([&] { node.live = std::make_unique<LiveChannels>(node.thread.loop, *node.client, node.clock); });
}

}  // namespace
}  // namespace hailstone::flip
