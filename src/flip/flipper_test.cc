// Flips over sockets: all channels or none, once, in spite of races and lost answers.
#include "flip/flipper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flip/testing.h"

namespace hailstone::flip {
namespace {

using testing::HasSubstr;

constexpr VolumeId kId{(7u << 8) | 1};

Change to(uint64_t release, Bytes channel = "current", Bytes volume = "repo") {
  return {.volume = std::move(volume),
          .id = kId,
          .channel = std::move(channel),
          .release = ReleaseNumber(release),
          .recorded = UINT64_MAX};
}
Change expecting(uint64_t expected, Change change) {
  change.expected = ReleaseNumber(expected);
  return change;
}

class FlipperTest : public testing::Test {
 protected:
  uint64_t at(const Bytes& channel = "current", const Bytes& volume = "repo") {
    const auto state = node.blocking().read(volume, channel, kSoon);
    EXPECT_TRUE(state) << state.error().message;
    return state && state->file ? state->file->current().release.value : 0;
  }

  /// at(), and the client has it in memory: a flip has only its transaction to send.
  uint64_t held() {
    uint64_t release = 0;
    do release = at();
    while (!node.thread.run([&] { return node.client->cached(channel_path("repo", "current")) != nullptr; }));
    return release;
  }

  TestCell cell;
  TestNode node{cell};
};

TEST_F(FlipperTest, SequencesAndTimesRise) {
  const auto first = node.flip({to(1)}), second = node.flip({to(2)}, {net::NodeId(4), net::NodeId(2), net::NodeId(4)});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->at(0).before, std::nullopt);
  EXPECT_EQ(second->at(0).before, first->at(0).flip);
  EXPECT_EQ(second->at(0).flip.sequence, 2);
  EXPECT_GT(second->at(0).flip.at, first->at(0).flip.at);
  EXPECT_GT(second->at(0).flip.modified_seconds, first->at(0).flip.modified_seconds);
  const auto state = node.blocking().read("repo", "current", kSoon);
  EXPECT_EQ(state->file->current(), second->at(0).flip);
  EXPECT_THAT(state->file->excluded, testing::ElementsAre(net::NodeId(2), net::NodeId(4)));
}

TEST_F(FlipperTest, AllChannelsOrNone) {
  ASSERT_TRUE(node.flip({to(1), to(1, "testing"), to(1, "current", "other")}));
  const auto refused = node.flip({expecting(1, to(2)), expecting(9, to(2, "testing")), to(2, "current", "other")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  EXPECT_THAT(refused.error().message, HasSubstr("repo@testing: it is at release 1, not 9"));
  EXPECT_EQ(at(), 1);
  EXPECT_EQ(at("testing"), 1);
  EXPECT_EQ(at("current", "other"), 1);
  EXPECT_EQ(node.flip({expecting(0, to(2))}).error().code, Code::Conflict);
  EXPECT_TRUE(node.flip({expecting(1, to(2)), expecting(0, to(1, "new"))}));
  EXPECT_EQ(at(), 2);
}

TEST_F(FlipperTest, AFlipWithoutARecordIsNotForgotten) {
  Change change = to(1);
  change.recorded = 0;
  for (size_t i = 0; i < kFlipsKept; ++i) ASSERT_TRUE(node.flip({change}));
  const auto refused = node.flip({change});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Exhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("repo@current: flip 1 is not recorded"));
  change.recorded = 1;
  EXPECT_EQ(node.flip({change})->at(0).flip.sequence, kFlipsKept + 1);
  EXPECT_EQ(node.flip({change}).error().code, Code::Exhausted);
}

TEST_F(FlipperTest, RemovedChannelsAreAbsentAndGoOnCounting) {
  EXPECT_EQ(node.flip({to(0)}).error().code, Code::NotFound);
  ASSERT_TRUE(node.flip({to(1)}));
  ASSERT_TRUE(node.flip({to(0)}));
  EXPECT_EQ(at(), 0);
  EXPECT_EQ(node.flip({to(0)}).error().code, Code::NotFound);
  EXPECT_EQ(node.flip({expecting(0, to(2))})->at(0).flip.sequence, 3);
}

TEST_F(FlipperTest, AVolumeMadeAgainBeginsAnew) {
  ASSERT_TRUE(node.flip({to(1)}));
  ASSERT_TRUE(node.flip({to(2)}));
  Change again = expecting(0, to(1));
  again.id = VolumeId((8u << 8) | 1);
  EXPECT_EQ(node.flip({again})->at(0).flip.sequence, 1);
  // The publisher of the old one comes late.
  EXPECT_EQ(node.flip({to(3)}).error().code, Code::Conflict);
  EXPECT_EQ(at(), 1);
}

TEST_F(FlipperTest, VolumesAreListedAndRemoved) {
  ASSERT_TRUE(node.flip({to(1), to(2, "testing"), to(3, "current", "repo2")}));
  const auto listed = node.blocking().list("repo", kSoon);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2);
  EXPECT_EQ(listed->at(0).first, "current");
  EXPECT_EQ(listed->at(1).second.file->current().release, ReleaseNumber(2));
  ASSERT_TRUE(node.blocking().remove_volume("repo", kSoon));
  ASSERT_TRUE(node.blocking().remove_volume("repo", kSoon));
  EXPECT_TRUE(node.blocking().list("repo", kSoon)->empty());
  EXPECT_EQ(at("current", "repo2"), 3);
}

TEST_F(FlipperTest, WhatIsNoFlipIsRefused) {
  EXPECT_EQ(node.flip({}).error().code, Code::Invalid);
  EXPECT_EQ(node.flip({to(1), to(2)}).error().code, Code::Invalid);
  EXPECT_EQ(node.flip({to(1, "a/b")}).error().code, Code::Invalid);
  EXPECT_EQ(node.flip({to(1)}, {net::NodeId(0)}).error().code, Code::Invalid);
  EXPECT_EQ(node.flip(std::vector<Change>(kChangesMax + 1, to(1))).error().code, Code::Invalid);
}

TEST_F(FlipperTest, RacingFlipsAllCountOnce) {
  TestNode other(cell);
  constexpr int kEach = 20;
  std::vector<uint64_t> sequences[2];
  std::thread threads[2];
  for (int i = 0; i < 2; ++i)
    threads[i] = std::thread([&, i] {
      for (int n = 0; n < kEach; ++n) {
        const auto done = (i == 0 ? node : other).flip({to(1), to(1, "testing")});
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_EQ(done->at(0).flip.sequence, done->at(1).flip.sequence);
        sequences[i].push_back(done->at(0).flip.sequence);
      }
    });
  for (auto& thread : threads) thread.join();
  std::vector<uint64_t> all = sequences[0];
  all.insert(all.end(), sequences[1].begin(), sequences[1].end());
  std::ranges::sort(all);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], i + 1);
  EXPECT_EQ(all.size(), 2 * kEach);
}

TEST_F(FlipperTest, OnesOwnFlipIsKnownWhenItsAnswerIsLost) {
  for (uint64_t release = 1; release <= 3; ++release) {
    ASSERT_EQ(held(), release - 1);
    cell.silence_when_done();
    auto flipping = std::async([&] { return node.flip({expecting(release - 1, to(release))}); });
    while (!cell.silent()) std::this_thread::yield();
    // It is done. The session ends here, not in the cell: what became of the transaction nobody says.
    EXPECT_FALSE(node.thread.wait(node.client->close({200})));
    if (release == 2) cell.new_master();
    cell.set_silent(false);
    cell.cut_connections();
    ASSERT_TRUE(node.thread.wait(node.client->open(kSoon)));
    const auto done = flipping.get();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->at(0).flip.sequence, release);
    const auto state = node.blocking().read("repo", "current", kSoon);
    EXPECT_EQ(state->file->current(), done->at(0).flip);
  }
}

TEST_F(FlipperTest, ByItsDeadlineItSaysWhetherItMayHaveBeenDone) {
  ASSERT_EQ(held(), 0);
  cell.set_silent(true);
  EXPECT_EQ(node.flip({to(1)}, {}, {300}).error().code, Code::Timeout);
  EXPECT_EQ(node.flip({to(1, "unread")}, {}, {100}).error().code, Code::Unavailable);
}

}  // namespace
}  // namespace hailstone::flip
