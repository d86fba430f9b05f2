#include "s3/edge.h"

#include <gtest/gtest.h>

namespace hailstone::s3 {
namespace {

TEST(Options, AreCheckedInWords) {
  EXPECT_TRUE(Options{}.validate());
  EXPECT_FALSE(Options{.region = ""}.validate());
}

}  // namespace
}  // namespace hailstone::s3
