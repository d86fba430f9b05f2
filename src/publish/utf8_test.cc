#include "publish/utf8.h"

#include <gtest/gtest.h>

namespace hailstone::publish {
namespace {

TEST(Utf8, AcceptsExactlyWhatRfc3629Allows) {
  for (const char* good :
       {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"})
    EXPECT_TRUE(valid_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xff", "a\xc3", "\xe2\x82", "\xe2\x28\xa1", "\xf0\x8f\xbf\xbf"})
    EXPECT_FALSE(valid_utf8(bad));
}

TEST(Utf8, TakesOneByteOfAMalformedSequence) {
  ByteView text =
      "\xe2\x82"
      "a";
  EXPECT_FALSE(take_code_point(text).has_value());
  EXPECT_EQ(text.size(), 2u);
  EXPECT_FALSE(take_code_point(text).has_value());
  EXPECT_EQ(take_code_point(text), uint32_t{'a'});
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace hailstone::publish
