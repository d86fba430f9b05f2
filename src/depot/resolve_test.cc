#include "depot/resolve.h"

#include <gtest/gtest.h>

#include "depot/test_cell.h"

namespace hailstone::depot {
namespace {

constexpr uint64_t kGrace = 3600;

class Resolve : public ::testing::Test {
 protected:
  Resolve() {
    cell_.create("repo");
    for (int i = 1; i <= 4; ++i) {  // release i has the file only-i and the stamp i; releases are 100 s apart
      cell_.put("repo", "stamp", std::to_string(i));
      cell_.put("repo", "only-" + std::to_string(i), std::to_string(i));
      if (i > 1) cell_.remove("repo", "only-" + std::to_string(i - 1));
      cell_.release("repo");
      cell_.clock.advance_seconds(100);
    }
  }
  Resolved at(ByteView key, bool enabled = true, std::optional<size_t> first = {}) {
    const auto flips = cell_.flips("repo");
    auto out = resolve(cell_.store, *flips, {enabled, kGrace, cell_.clock.wall()}, key, first);
    EXPECT_TRUE(out) << out.error().message;
    return out ? *std::move(out) : Resolved{};
  }
  testing::Cell cell_;
};

TEST_F(Resolve, TheCurrentReleaseComesFirst) {
  const auto got = at("stamp");
  EXPECT_EQ(got.flip, 3u);
  EXPECT_EQ(got.found.entry.content.inlined, "4");
  EXPECT_EQ(got.valid_until, std::nullopt);
}

TEST_F(Resolve, AbsentPathsResolveInGraceNewestFirst) {
  EXPECT_EQ(at("only-3").flip, 2u);
  EXPECT_EQ(at("only-1").flip, 0u);
  EXPECT_EQ(at("only-1").found.entry.content.inlined, "1");
  EXPECT_FALSE(at("only-1").gone);
}

TEST_F(Resolve, GraceCountsFromTheFlipThatReplacedTheRelease) {
  const auto flips = cell_.flips("repo");
  const UnixMicros end = *grace_end(*flips, 0, kGrace);
  EXPECT_EQ(end.value, flips->at(1).at.value + static_cast<int64_t>(kGrace) * 1'000'000);
  EXPECT_EQ(at("only-1").valid_until, end);
  cell_.clock.advance_micros(end.value - cell_.clock.wall().value - 1);
  EXPECT_EQ(at("only-1").found.kind, Found::Kind::File) << "a microsecond before the end";
  cell_.clock.advance_micros(1);
  const auto late = at("only-1");
  EXPECT_EQ(late.found.kind, Found::Kind::Nothing);
  EXPECT_TRUE(late.gone);
  EXPECT_EQ(at("only-2").found.kind, Found::Kind::File) << "its grace began 100 s later";
}

TEST_F(Resolve, TheCurrentReleaseNeverExpires) {
  cell_.clock.advance_seconds(1'000'000'000);
  EXPECT_EQ(at("stamp").found.kind, Found::Kind::File);
}

TEST_F(Resolve, NeverThereIsNotGone) {
  EXPECT_EQ(at("never").found.kind, Found::Kind::Nothing);
  EXPECT_FALSE(at("never").gone);
  cell_.clock.advance_seconds(1'000'000);
  EXPECT_FALSE(at("never").gone);
}

TEST_F(Resolve, WithoutOverlayOnlyTheCurrentReleaseAnswers) {
  EXPECT_EQ(at("only-4", false).found.kind, Found::Kind::File);
  EXPECT_EQ(at("only-3", false).found.kind, Found::Kind::Nothing);
  EXPECT_TRUE(at("only-3", false).gone);
}

TEST_F(Resolve, ARollbackKeepsTheReplacedReleaseInGrace) {
  cell_.flip("repo", ReleaseNumber(2));
  EXPECT_EQ(at("stamp").found.entry.content.inlined, "2");
  EXPECT_EQ(at("only-4").found.entry.content.inlined, "4");
}

TEST_F(Resolve, AReleaseThatCameBackHasTheGraceOfItsLastTime) {
  cell_.clock.advance_seconds(kGrace - 150);
  cell_.flip("repo", ReleaseNumber(1));  // only-1 is current again
  cell_.clock.advance_seconds(100);
  cell_.flip("repo", ReleaseNumber(4));
  cell_.clock.advance_seconds(kGrace - 1);
  EXPECT_EQ(at("only-1").found.kind, Found::Kind::File);
  EXPECT_EQ(at("only-1").flip, 4u);
  EXPECT_TRUE(at("only-2").gone);
}

TEST_F(Resolve, APinIsAskedFirstWhileInGrace) {
  EXPECT_EQ(at("stamp", true, 1).found.entry.content.inlined, "2");
  EXPECT_EQ(at("only-4", true, 1).found.entry.content.inlined, "4") << "what the pinned release lacks";
  cell_.clock.advance_seconds(1'000'000);
  EXPECT_EQ(at("stamp", true, 1).found.entry.content.inlined, "4");
}

TEST_F(Resolve, AnUnreadableTreeIsAnErrorOnlyWhileItMayAnswer) {
  const auto flips = cell_.flips("repo");
  ASSERT_TRUE(cell_.chunks->erase(std::vector<ChunkId>{flips->at(0).root.id}));
  tree::CachedNodes cold(*cell_.chunks, {});
  const Store store{cold, *cell_.chunks};
  const auto now = resolve(store, *flips, {true, kGrace, cell_.clock.wall()}, "never", {});
  ASSERT_FALSE(now) << "the release may have it: nobody can say that it is not there";
  EXPECT_EQ(now.error().code, Code::Corrupt);
  cell_.clock.advance_seconds(1'000'000);
  const auto later = resolve(store, *flips, {true, kGrace, cell_.clock.wall()}, "never", {});
  ASSERT_TRUE(later);
  EXPECT_EQ(later->found.kind, Found::Kind::Nothing);
}

TEST_F(Resolve, AnEndlessGraceDoesNotOverflow) {
  const auto flips = cell_.flips("repo");
  EXPECT_TRUE(in_grace(*flips, 0, UINT64_MAX, UnixMicros{400'000'000'000'000'000}));
}

}  // namespace
}  // namespace hailstone::depot
