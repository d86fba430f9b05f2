#include "depot/lru.h"

#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

TEST(Lru, ForgetsWhatWasUsedLongestAgo) {
  Lru<int> lru(2);
  lru.put("a", 1);
  lru.put("b", 2);
  ASSERT_NE(lru.find("a"), nullptr);
  lru.put("c", 3);
  EXPECT_EQ(lru.find("b"), nullptr);
  EXPECT_EQ(*lru.find("a"), 1);
  EXPECT_EQ(*lru.find("c"), 3);
}

TEST(Lru, CostsAreBounded) {
  Lru<int> lru(10);
  lru.put("a", 1, 4);
  lru.put("b", 2, 4);
  lru.put("c", 3, 8);
  EXPECT_EQ(lru.size(), 1u);
  EXPECT_EQ(*lru.find("c"), 3);
  EXPECT_EQ(lru.put("d", 4, 11), nullptr);
  EXPECT_EQ(lru.find("d"), nullptr);
  EXPECT_EQ(*lru.find("c"), 3);
}

TEST(Lru, PutReplacesValueAndCost) {
  Lru<Bytes> lru(10);
  lru.put("a", "old", 9);
  lru.put("a", "new", 1);
  lru.put("b", "x", 9);
  EXPECT_EQ(*lru.find("a"), "new");
  EXPECT_EQ(*lru.find("b"), "x");
}

TEST(Lru, TooCostlyAValueReplacesNothingButIsGone) {
  Lru<int> lru(2);
  lru.put("a", 1);
  lru.put("a", 2, 3);
  EXPECT_EQ(lru.find("a"), nullptr) << "the old value must not outlive its replacement";
}

TEST(Lru, EraseAndClear) {
  Lru<int> lru(4);
  lru.put("a", 1, 2);
  lru.put("b", 2, 2);
  lru.erase("a");
  lru.erase("a");
  lru.put("c", 3, 2);
  EXPECT_EQ(lru.size(), 2u);
  lru.clear();
  EXPECT_EQ(lru.find("b"), nullptr);
  lru.put("d", 4, 4);
  EXPECT_EQ(*lru.find("d"), 4);
}

}  // namespace
}  // namespace hailstone::depot
