#include "chunk/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace hailstone::chunk {
namespace {

TEST(Location, KeepsItsPartsAndBoundsItsSpan) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const auto segment = static_cast<uint32_t>(random() % (1u << 24));
    const uint64_t offset = random() % (1ull << 30) * 8;
    const uint64_t span = random() % (i % 2 ? 1000 : (4u << 20) + 8000) + 64;
    const Location at = Location::make(segment, offset, span);
    ASSERT_EQ(at.segment(), segment);
    ASSERT_EQ(at.offset(), offset);
    ASSERT_GE(at.span_bound(), span);
    ASSERT_LE(at.span_bound(), std::max<uint64_t>(128, span + span / 4));
    ASSERT_EQ(at.packed & Location::kFlags, 0u);
  }
}

TEST(Location, OrdersBySegmentThenOffset) {
  EXPECT_LT(Location::make(1, 800, 100).place(), Location::make(1, 808, 64).place());
  EXPECT_LT(Location::make(1, 1 << 20, 100).place(), Location::make(2, 64, 64).place());
}

TEST(Index, PrefixKeepsTheOrderOfIds) {
  const ChunkId a(sha256("a")), b(sha256("b"));
  EXPECT_EQ(a < b, prefix_of(a) < prefix_of(b));
}

/// Few distinct prefixes, some at the very ends, so that runs, duplicates and overflow all happen.
uint64_t some_prefix(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return random() % 500;
    case 1: return ~uint64_t{0} - random() % 500;
    case 2: return uint64_t{0x7f} << 56 | (random() % 3000) << 20;
    default: return random();
  }
}

TEST(Index, AgreesWithAMapUnderRandomUse) {
  std::mt19937_64 random(7);
  Index index;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> model;  // (prefix, place) -> flags
  uint64_t next = 8;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t prefix = some_prefix(random);
    const auto known = model.lower_bound({prefix, 0});
    switch (random() % 6) {
      case 0:
      case 1:
      case 2: {
        const Location at = Location::make(3, next += 8, 100);
        index.insert(prefix, at);
        model[{prefix, at.place()}] = 0;
        break;
      }
      case 3:
        if (known != model.end()) {
          ASSERT_TRUE(index.erase(known->first.first, Location{known->first.second << 10}));
          model.erase(known);
        }
        break;
      case 4:
        if (known != model.end()) {
          ASSERT_TRUE(index.set_flags(known->first.first, Location{known->first.second << 10}, Location::kVerified));
          known->second |= Location::kVerified;
        }
        break;
      case 5: ASSERT_FALSE(index.erase(prefix, Location::make(9, 64, 64))); break;
    }
    if (step % 97 == 0) {
      size_t found = 0;
      index.find(prefix).each([&](const Index::Slot& slot) {
        const auto it = model.find({prefix, slot.location.place()});
        ASSERT_TRUE(it != model.end());
        ASSERT_EQ(slot.location.packed & Location::kFlags, it->second);
        ++found;
      });
      ASSERT_EQ(found, static_cast<size_t>(
                           std::distance(model.lower_bound({prefix, 0}), model.upper_bound({prefix, ~uint64_t{0}}))));
    }
  }
  for (const size_t page : {1, 7, 1000, 1'000'000}) {
    std::vector<std::pair<uint64_t, uint64_t>> walked;
    for (uint64_t from = 0;;) {
      const auto slots = index.walk(from, page);
      if (slots.empty()) break;
      for (const auto& slot : slots) walked.emplace_back(slot.prefix, slot.location.place());
      ASSERT_TRUE(
          std::is_sorted(slots.begin(), slots.end(), [](const auto& a, const auto& b) { return a.prefix < b.prefix; }));
      if (slots.back().prefix == ~uint64_t{0}) break;
      from = slots.back().prefix + 1;
    }
    std::sort(walked.begin(), walked.end());
    ASSERT_EQ(walked.size(), model.size()) << page;
    ASSERT_TRUE(std::equal(walked.begin(), walked.end(), model.begin(),
                           [](const auto& a, const auto& b) { return a == b.first; }));
  }
}

TEST(Index, TakesAtMost25BytesAChunk) {
  Index index;
  std::mt19937_64 random(1);
  for (uint64_t i = 1; i <= 1'000'000; ++i) {
    index.insert(random(), Location::make(1, i * 8, 100));
    if (i >= 200'000 && i % 50'000 == 0) EXPECT_LE(index.slots_bytes() / i, 25u) << i;
  }
}

}  // namespace
}  // namespace hailstone::chunk
