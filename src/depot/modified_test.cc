#include "depot/modified.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "depot/test_cell.h"

namespace hailstone::depot {
namespace {

int64_t ask(testing::Cell& cell, ModifiedTimes& times, ByteView key, std::optional<size_t> index = {}) {
  const auto flips = cell.flips("repo");
  const size_t at = index.value_or(flips->size() - 1);
  const auto found = find(cell.store, flips->at(at).root, key);
  EXPECT_TRUE(found);
  return times.get(cell.store, VolumeId(1), "current", *flips, at, key, *found);
}

class Modified : public ::testing::Test {
 protected:
  Modified() { cell_.create("repo"); }
  ReleaseNumber publish(ByteView a) {
    cell_.put("repo", "a", a);
    cell_.put("repo", "n", std::to_string(++releases_));
    return cell_.release("repo");
  }
  int64_t last() { return cell_.flips("repo")->back().modified_seconds; }
  int64_t a() { return ask(cell_, times_, "a"); }

  testing::Cell cell_;
  ModifiedTimes times_{100};
  int releases_ = 0;
};

TEST_F(Modified, IsTheFlipThatBroughtTheContent) {
  publish("1");
  const int64_t first = last();
  EXPECT_EQ(a(), first);
  cell_.clock.advance_seconds(10);
  publish("1");
  EXPECT_EQ(a(), first) << "unchanged content keeps its date";
  cell_.clock.advance_seconds(10);
  publish("2");
  EXPECT_EQ(a(), last());
  EXPECT_EQ(last(), first + 20);
}

TEST_F(Modified, ThreeFlipsInOneSecondAndARollback) {
  const auto r1 = publish("1");
  const int64_t d1 = a();
  publish("2");
  const int64_t d2 = a();
  publish("3");
  const int64_t d3 = a();
  EXPECT_LT(d1, d2);
  EXPECT_LT(d2, d3);
  cell_.flip("repo", r1);
  EXPECT_LT(d3, a()) << "old content that comes back has a new date";
}

TEST_F(Modified, ABriefAppearanceBetweenTwoQuestionsBreaksTheRun) {
  const auto r1 = publish("1");
  const int64_t before = a();
  publish("2");  // nobody asks now
  cell_.flip("repo", r1);
  EXPECT_GT(a(), before);
  EXPECT_EQ(a(), last());
}

TEST_F(Modified, OldFlipsAreAskedWithoutDisturbingTheNew) {
  publish("1");
  publish("2");
  publish("2");
  const auto flips = cell_.flips("repo");
  EXPECT_EQ(a(), flips->at(1).modified_seconds);
  EXPECT_EQ(ask(cell_, times_, "a", 0), flips->at(0).modified_seconds);
  EXPECT_EQ(a(), flips->at(1).modified_seconds);
}

TEST_F(Modified, TheLookBackIsBoundedAndTheSameWithAndWithoutMemory) {
  for (int i = 0; i < 200; ++i) {
    publish("same");
    ModifiedTimes fresh(10);
    ASSERT_EQ(a(), ask(cell_, fresh, "a")) << i;
  }
  const auto flips = cell_.flips("repo");
  EXPECT_EQ(flips->back().sequence, 200u);
  EXPECT_EQ(a(), flips->at(look_back_floor(200) - flips->front().sequence).modified_seconds);
}

TEST_F(Modified, ACollectedTreeEndsTheRun) {
  publish("1");
  const auto lost = cell_.root("repo");
  publish("1");
  publish("1");
  ASSERT_TRUE(cell_.chunks->erase(std::vector<ChunkId>{lost.id}));
  tree::CachedNodes cold(*cell_.chunks, {});
  const Store store{cold, *cell_.chunks};
  const auto flips = cell_.flips("repo");
  const auto found = find(store, flips->back().root, "a");
  EXPECT_EQ(times_.get(store, VolumeId(1), "current", *flips, 2, "a", *found), flips->at(1).modified_seconds);
}

TEST(LookBack, FloorIsBetween32And63FlipsBackAndNeverFalls) {
  uint64_t before = 0;
  for (uint64_t sequence = 1; sequence < 1000; ++sequence) {
    const uint64_t floor = look_back_floor(sequence);
    ASSERT_GE(floor, 1u);
    ASSERT_GE(floor, before);
    ASSERT_LE(sequence - floor, 63u);
    if (sequence > 64) {
      ASSERT_GE(sequence - floor, 32u);
    }
    before = floor;
  }
}

// The model: what was announced for a path, ever. Equal dates must mean equal content, dates must never fall, and
// content that changes must get a later date; asked or not asked at each flip, with and without memory.
TEST(ModifiedProperty, DatesRiseAndNeverLie) {
  rc::check([] {
    testing::Cell cell;
    cell.create("repo");
    ModifiedTimes times(100);
    std::map<int64_t, Bytes> announced;
    int64_t latest = 0;
    Bytes latest_content;
    std::vector<ReleaseNumber> releases;
    const auto steps = *rc::gen::inRange(1, 90);
    for (int step = 0; step < steps; ++step) {
      const auto kind = *rc::gen::inRange(0, 5);
      if (kind <= 2 || releases.empty()) {
        cell.put("repo", "a", std::to_string(*rc::gen::inRange(0, 3)));
        cell.put("repo", "n", std::to_string(step));
        releases.push_back(cell.release("repo"));
      } else {
        cell.flip("repo", releases[static_cast<size_t>(*rc::gen::inRange(0, static_cast<int>(releases.size())))]);
      }
      if (*rc::gen::inRange(0, 3) == 0) cell.clock.advance_micros(*rc::gen::inRange(0, 3'000'000));
      if (*rc::gen::inRange(0, 3) == 0) continue;  // nobody asks at this flip
      const auto flips = cell.flips("repo");
      const auto found = find(cell.store, flips->back().root, "a");
      RC_ASSERT(found.has_value());
      const Bytes content = found->entry.content.inlined;
      ModifiedTimes fresh(10);
      const int64_t date = ask(cell, times, "a");
      RC_ASSERT(date == ask(cell, fresh, "a"));
      RC_ASSERT(date >= latest);
      if (content != latest_content) RC_ASSERT(date > latest);
      const auto [it, first] = announced.emplace(date, content);
      RC_ASSERT(first || it->second == content);
      latest = date;
      latest_content = content;
    }
  });
}

}  // namespace
}  // namespace hailstone::depot
