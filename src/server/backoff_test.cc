#include "server/backoff.h"

#include <gtest/gtest.h>

namespace hailstone::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(Backoff, TriesEverMoreSeldomAndTellsOnceAMinute) {
  Backoff backoff;
  int tries = 0, told = 0;
  for (int64_t now = 0; now < 600 * kSecond; now += kSecond / 2) {
    if (!backoff.due(now)) continue;
    ++tries;
    told += backoff.failed(now);
  }
  EXPECT_LE(tries, 50);
  EXPECT_GE(tries, 600 / 15);
  EXPECT_LE(told, 10);
  EXPECT_GE(told, 8);
}

TEST(Backoff, TellsTheFirstFailureAndTriesAgainSoon) {
  Backoff backoff;
  EXPECT_TRUE(backoff.due(7 * kSecond));
  EXPECT_TRUE(backoff.failed(7 * kSecond));
  EXPECT_FALSE(backoff.due(7 * kSecond + Backoff::kDelayNs - 1));
  EXPECT_TRUE(backoff.due(7 * kSecond + Backoff::kDelayNs));
  EXPECT_FALSE(backoff.failed(8 * kSecond));
}

}  // namespace
}  // namespace hailstone::server
