#include "depot/pin.h"

#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

TEST(Pin, RoundTrip) {
  const Bytes cookie = make_pin("site", ReleaseNumber(42), 900, false);
  EXPECT_EQ(cookie, "hailstone-pin=site:42; Path=/site/; Max-Age=900; HttpOnly; SameSite=Lax");
  EXPECT_EQ(read_pin(cookie.substr(0, cookie.find(';')), "site"), ReleaseNumber(42));
  EXPECT_TRUE(make_pin("site", ReleaseNumber(1), 900, true).ends_with("; Secure"));
}

TEST(Pin, FindsItsVolumeAmongOthers) {
  EXPECT_EQ(read_pin("a=b; hailstone-pin=other:1; hailstone-pin=site:7 ; c=d", "site"), ReleaseNumber(7));
  EXPECT_EQ(read_pin("hailstone-pin=site2:7", "site"), std::nullopt);
}

TEST(Pin, MalformedIsNone) {
  for (std::string_view cookie : {"", ";", "hailstone-pin=", "hailstone-pin=site", "hailstone-pin=site:",
                                  "hailstone-pin=site:0", "hailstone-pin=site:-1", "hailstone-pin=site:1x",
                                  "hailstone-pin=site:99999999999999999999", "xhailstone-pin=site:1"})
    EXPECT_EQ(read_pin(cookie, "site"), std::nullopt) << cookie;
}

}  // namespace
}  // namespace hailstone::depot
