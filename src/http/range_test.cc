#include "http/range.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hailstone::http {
namespace {

// "whole", "none" or "0+5,7+3".
std::string resolved(std::optional<std::string_view> field, uint64_t length) {
  const ResolvedRanges r = resolve_ranges(field, length);
  if (r.kind == ResolvedRanges::Kind::Whole) return "whole";
  if (r.kind == ResolvedRanges::Kind::Unsatisfiable) return "none";
  std::string out;
  for (const ByteRange& b : r.ranges)
    out += (out.empty() ? "" : ",") + std::to_string(b.offset) + "+" + std::to_string(b.length);
  return out;
}

TEST(Ranges, ResolveAgainstALength) {
  const struct {
    std::string_view field;
    uint64_t length;
    std::string_view want;
  } cases[] = {
      {"bytes=0-0", 10, "0+1"},
      {"bytes=0-4", 10, "0+5"},
      {"BYTES=5-", 10, "5+5"},
      {"bytes=5-100", 10, "5+5"},
      {"bytes=-3", 10, "7+3"},
      {"bytes=-100", 10, "0+10"},
      {"bytes=9-9", 10, "9+1"},
      {"bytes=10-", 10, "none"},
      {"bytes=-0", 10, "none"},
      {"bytes=0-", 0, "none"},
      {"bytes=-1", 0, "none"},
      {"bytes=10-,0-0", 10, "0+1"},
      {"bytes= 0-1 , 4-5 ", 10, "0+2,4+2"},
      {"bytes=,0-1,,", 10, "0+2"},
      {"bytes=0-1,2-3", 10, "0+4"},
      {"bytes=0-5,2-3", 10, "0+6"},
      {"bytes=4-5,0-1", 10, "4+2,0+2"},
      {"bytes=0-99999999999999999999999999", 10, "0+10"},
      {"bytes=99999999999999999999999999-", 10, "none"},
      {"bytes=0-18446744073709551615", 10, "0+10"},
      // Ignored: malformed, another unit, more work than the whole.
      {"bytes=", 10, "whole"},
      {"bytes", 10, "whole"},
      {"bytes=-", 10, "whole"},
      {"bytes=5-4", 10, "whole"},
      {"bytes=a-b", 10, "whole"},
      {"bytes=0-1,x", 10, "whole"},
      {"bytes=+0-1", 10, "whole"},
      {"bytes=0--1", 10, "whole"},
      {"bytes 0-1", 10, "whole"},
      {"items=0-1", 10, "whole"},
      {"bytes=5-9,0-9", 10, "whole"},
  };
  for (const auto& c : cases) EXPECT_EQ(resolved(c.field, c.length), c.want) << c.field;
  EXPECT_EQ(resolved(std::nullopt, 10), "whole");
}

TEST(Ranges, TooManyAreIgnored) {
  std::string field = "bytes=0-0";
  for (size_t i = 1; i < kRangesMax; ++i) field += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
  EXPECT_EQ(resolve_ranges(field, 1000).ranges.size(), kRangesMax);
  EXPECT_EQ(resolved(field + ",900-900", 1000), "whole");
}

TEST(Ranges, ArePrintedForContentRange) {
  EXPECT_EQ(content_range({0, 500}, 1234), "bytes 0-499/1234");
  EXPECT_EQ(unsatisfied_range(1234), "bytes */1234");
}

RC_GTEST_PROP(Ranges, NeverLeaveTheRepresentationNorExceedIt, ()) {
  const auto length = *rc::gen::inRange<uint64_t>(0, 50);
  const auto numbers = *rc::gen::container<std::vector<uint64_t>>(rc::gen::inRange<uint64_t>(0, 60));
  std::string field = "bytes=";
  for (size_t i = 0; i + 1 < numbers.size(); i += 2)
    field += std::to_string(numbers[i]) + "-" + std::to_string(numbers[i + 1]) + ",";
  uint64_t total = 0;
  for (const ByteRange& r : resolve_ranges(field, length).ranges) {
    RC_ASSERT(r.length > 0 && r.offset + r.length <= length);
    total += r.length;
  }
  RC_ASSERT(total <= length);
}

}  // namespace
}  // namespace hailstone::http
