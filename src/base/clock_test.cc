#include "base/clock.h"

#include <gtest/gtest.h>

namespace hailstone {
namespace {

TEST(Clock, HttpDateMatchesRfc9110Example) {
  EXPECT_EQ(format_http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  int64_t back = 0;
  EXPECT_TRUE(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", back));
  EXPECT_EQ(back, 784111777);
}

TEST(Clock, HttpDateRefusesWhatItWouldNotWrite) {
  int64_t out = 0;
  for (const char* bad :
       {"Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "", "Sun, 06 Nov 1994 08:49:37 UTC"})
    EXPECT_FALSE(parse_http_date(bad, out)) << bad;
}

TEST(Clock, Iso8601RoundTrips) {
  for (int64_t micros : {0LL, 1LL, 1'793'000'000'123'456LL, -1LL, 951'782'400'000'000LL /* 2000-02-29 */}) {
    UnixMicros back;
    ASSERT_TRUE(parse_iso8601(format_iso8601(UnixMicros{micros}), back)) << micros;
    EXPECT_EQ(back.value, micros);
  }
  UnixMicros t;
  EXPECT_TRUE(parse_iso8601("2026-11-22T10:00Z", t));
  EXPECT_EQ(format_iso8601(t), "2026-11-22T10:00:00Z");
  EXPECT_TRUE(parse_iso8601("2026-11-22", t));
  for (const char* bad : {"2026-13-01", "2026-11-22T", "2026-11-22T10", "2026-02-30", "now", "2026-11-22T10:00:00."})
    EXPECT_FALSE(parse_iso8601(bad, t)) << bad;
}

}  // namespace
}  // namespace hailstone
