#include "volume/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hailstone::volume {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Releases 1..count, release n published and flipped to on "current" at n * 100 seconds.
struct Case {
  Volume volume;
  std::vector<Retainable> releases;
  std::set<ReleaseNumber> held, draft_bases;
  int64_t now_seconds = 100'000;

  Case(uint64_t count, Settings settings) {
    settings.grace_seconds = std::min<uint64_t>(settings.grace_seconds, 50);
    volume.record.settings = settings;
    volume.record.last_release = ReleaseNumber(count);
    std::vector<Flip> flips;
    for (uint64_t n = 1; n <= count; ++n) {
      releases.push_back({ReleaseNumber(n), at(n * 100)});
      flips.push_back({.sequence = n, .release = ReleaseNumber(n), .root = {}, .at = at(n * 100)});
    }
    volume.channels["current"] = std::make_shared<const std::vector<Flip>>(flips);
  }
  static UnixMicros at(uint64_t seconds) { return UnixMicros{static_cast<int64_t>(seconds) * 1'000'000}; }
  void channel(const Bytes& name, std::vector<Flip> flips) {
    volume.channels[name] = std::make_shared<const std::vector<Flip>>(std::move(flips));
  }
  std::vector<uint64_t> trash() const { return numbers(plan().trash); }
  std::vector<uint64_t> purge() const { return numbers(plan().purge); }
  RetentionPlan plan() const {
    return plan_retention({.volume = volume,
                           .releases = releases,
                           .held = held,
                           .draft_bases = draft_bases,
                           .now = UnixMicros{now_seconds * 1'000'000}});
  }
  static std::vector<uint64_t> numbers(const std::vector<ReleaseNumber>& list) {
    std::vector<uint64_t> out;
    for (ReleaseNumber n : list) out.push_back(n.value);
    return out;
  }
};

TEST(Retention, WithoutBoundsEverythingStays) { EXPECT_THAT(Case(9, {}).trash(), IsEmpty()); }

TEST(Retention, TheNewestSoManyStay) {
  EXPECT_THAT(Case(5, {.keep_releases = 2}).trash(), ElementsAre(1, 2, 3));
  EXPECT_THAT(Case(5, {.keep_releases = 5}).trash(), IsEmpty());
  EXPECT_THAT(Case(5, {.keep_releases = 9}).trash(), IsEmpty());
}

TEST(Retention, AgeCountsFromTheFlipThatReplacedIt) {
  Case c(3, {.keep_seconds = 1000});
  c.now_seconds = 200 + 1000;  // release 1 was made at 100 and replaced at 200
  EXPECT_THAT(c.trash(), IsEmpty());
  c.now_seconds += 1;
  EXPECT_THAT(c.trash(), ElementsAre(1));
  c.now_seconds = 300 + 1000 + 1;
  EXPECT_THAT(c.trash(), ElementsAre(1, 2));
  c.now_seconds = 1'000'000'000;  // the current one never expires
  EXPECT_THAT(c.trash(), ElementsAre(1, 2));
}

TEST(Retention, EitherBoundKeeps) {
  Case c(5, {.keep_releases = 2, .keep_seconds = 1000});
  c.now_seconds = 400 + 900;  // 3 was replaced at 400, 2 at 300, 1 at 200
  EXPECT_THAT(c.trash(), ElementsAre(1));
}

TEST(Retention, GraceKeepsWhateverTheBoundsSay) {
  Case c(4, {.keep_releases = 1});
  c.now_seconds = 400 + 50;
  EXPECT_THAT(c.trash(), ElementsAre(1, 2));
  c.now_seconds = 400 + 51;
  EXPECT_THAT(c.trash(), ElementsAre(1, 2, 3));
}

TEST(Retention, ChannelsTagsHoldsAndDraftsKeep) {
  Case c(7, {.keep_releases = 1});
  c.channel("stable", {{.sequence = 1, .release = ReleaseNumber(2), .root = {}, .at = Case::at(250)}});
  c.volume.tags["v1"] = ReleaseNumber(3);
  c.held.insert(ReleaseNumber(4));
  c.draft_bases.insert(ReleaseNumber(5));
  EXPECT_THAT(c.trash(), ElementsAre(1, 6));
}

TEST(Retention, TheNewestReleaseStaysEvenWhereNoChannelIsAtIt) {
  Case c(3, {.keep_seconds = 1});
  c.channel("current", {{.sequence = 1, .release = ReleaseNumber(1), .root = {}, .at = Case::at(100)}});
  EXPECT_THAT(c.trash(), ElementsAre(2));
}

TEST(Retention, WhereFlipsWereForgottenTheOldestKnownOneCounts) {
  Case c(3, {.keep_seconds = 1000});
  c.channel("current", {{.sequence = 900, .release = ReleaseNumber(3), .root = {}, .at = Case::at(5000)}});
  c.now_seconds = 5900;
  EXPECT_THAT(c.trash(), IsEmpty());
  c.now_seconds = 6100;
  EXPECT_THAT(c.trash(), ElementsAre(1, 2));
}

TEST(Retention, TrashIsPurgedWhenItsTimeIsOver) {
  Case c(4, {.trash_seconds = 10});
  c.volume.trashed[ReleaseNumber(1)] = UnixMicros{(c.now_seconds - 10) * 1'000'000};
  c.volume.trashed[ReleaseNumber(2)] = UnixMicros{(c.now_seconds - 9) * 1'000'000};
  EXPECT_THAT(c.purge(), ElementsAre(1));
}

}  // namespace
}  // namespace hailstone::volume
