// One table, told step by step, and what its readers may believe.
#include "flip/live_table.h"

#include <gtest/gtest.h>

namespace hailstone::flip {
namespace {

class HandClock final : public Clock {
 public:
  UnixMicros wall() const override { return {}; }
  int64_t monotonic_ns() const override { return now_ns; }
  int64_t now_ns = 1'000;
};

LivePtr at(uint64_t release) {
  Live live;
  if (release != 0) {
    live.file = ChannelFile{VolumeId(1), {{{.sequence = release, .release = ReleaseNumber(release)}, {}}}, {}};
    live.flips = std::make_shared<const std::vector<volume::Flip>>(1, live.file->current());
  }
  return std::make_shared<const Live>(live);
}

class LiveTableTest : public testing::Test {
 protected:
  void put(uint64_t release, ByteView channel = "current") {
    table->put(*table->enter(channel_path("repo", channel)), at(release));
  }
  bool drop(ByteView channel = "current") { return table->drop(channel_path("repo", channel)) != nullptr; }
  /// -1: it does not say.
  int64_t get(ByteView channel = "current") {
    const LivePtr& live = cache.get("repo", channel);
    if (live == nullptr) return -1;
    return live->file ? static_cast<int64_t>(live->file->current().release.value) : 0;
  }

  HandClock clock;
  std::shared_ptr<LiveTable> table = std::make_shared<LiveTable>(clock, 3);
  LiveCache cache{table};
};

TEST_F(LiveTableTest, SaysNothingBeforeItIsToldAndAfterItIsDropped) {
  EXPECT_EQ(get(), -1);
  table->set_lease_end(2'000);
  EXPECT_EQ(get(), -1);
  put(3);
  EXPECT_EQ(get(), 3);
  EXPECT_TRUE(drop());
  EXPECT_EQ(get(), -1);
  EXPECT_FALSE(drop());
  put(0);
  EXPECT_EQ(get(), 0);
  put(4);
  EXPECT_EQ(get(), 4);
  table->drop_all();
  EXPECT_EQ(get(), -1);
}

TEST_F(LiveTableTest, SaysNothingFromTheEndOfTheLeaseOn) {
  put(3);
  EXPECT_EQ(get(), -1);  // there is none yet
  table->set_lease_end(2'000);
  clock.now_ns = 1'999;
  EXPECT_EQ(get(), 3);
  clock.now_ns = 2'000;
  EXPECT_EQ(get(), -1);
  table->set_lease_end(3'000);
  EXPECT_EQ(get(), 3);
}

TEST_F(LiveTableTest, WhoKnewAChannelLearnsOfItsNextVersion) {
  table->set_lease_end(2'000);
  LiveCache other(table);
  put(1);
  EXPECT_EQ(get(), 1);
  put(2);
  EXPECT_EQ(get(), 2);
  EXPECT_EQ(other.get("repo", "current")->file->current().release, ReleaseNumber(2));
}

TEST_F(LiveTableTest, WhatIsNotThereGoesFirstThenWhatNobodyAskedFor) {
  table->set_lease_end(2'000);
  put(1, "used");
  EXPECT_EQ(get("used"), 1);
  put(2, "unused");
  put(0, "absent");
  EXPECT_EQ(get("absent"), 0);
  put(3, "next");
  EXPECT_EQ(table->size(), 3);
  EXPECT_EQ(get("used"), 1);
  EXPECT_EQ(get("next"), 3);
  put(4, "another");
  EXPECT_EQ(get("used"), 1);
  EXPECT_EQ(get("unused"), -1);
  EXPECT_EQ(get("absent"), -1);
}

TEST_F(LiveTableTest, WhatIsEvictedNeverCountsAgain) {
  table->set_lease_end(2'000);
  const auto entry = table->enter(channel_path("repo", "old"));
  table->put(*entry, at(1));
  EXPECT_EQ(get("old"), 1);
  for (const char* channel : {"a", "b", "c", "d", "e", "f"}) put(1, channel);
  EXPECT_EQ(table->find(entry->path), nullptr);
  table->put(*entry, at(2));  // a read that was under way
  EXPECT_EQ(get("old"), -1);
  put(3, "old");
  EXPECT_EQ(get("old"), 3);
}

TEST_F(LiveTableTest, IsFullOfThoseThatAreWaitedFor) {
  for (const char* channel : {"a", "b", "c"}) table->enter(channel)->busy = true;
  EXPECT_EQ(table->enter("d"), nullptr);
  table->find("b")->busy = false;
  EXPECT_NE(table->enter("d"), nullptr);
  EXPECT_EQ(table->find("b"), nullptr);
}

}  // namespace
}  // namespace hailstone::flip
