#include "base/bytes.h"

#include <gtest/gtest.h>

namespace hailstone {
namespace {

TEST(Bytes, HexRoundTripsAndRejectsJunk) {
  const Bytes raw("\x00\x7f\xff\x10", 4);
  Bytes back;
  EXPECT_EQ(to_hex(raw), "007fff10");
  EXPECT_TRUE(from_hex("007FfF10", back));
  EXPECT_EQ(back, raw);
  EXPECT_FALSE(from_hex("0", back));
  EXPECT_FALSE(from_hex("0g", back));
}

TEST(Bytes, Base64MatchesRfc4648Vectors) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [raw, text] : vectors) {
    Bytes back;
    EXPECT_EQ(to_base64(raw), text);
    EXPECT_TRUE(from_base64(text, back)) << text;
    EXPECT_EQ(back, raw);
  }
  Bytes back;
  for (const char* bad : {"Z", "Zg=", "Z===", "Zg==Zg==", "Z-=="}) EXPECT_FALSE(from_base64(bad, back)) << bad;
}

TEST(Bytes, PercentEncodingIsReversible) {
  Bytes all, back;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_TRUE(percent_decode(percent_encode(all), back));
  EXPECT_EQ(back, all);
  EXPECT_EQ(percent_encode_path("a b/c~+"), "a%20b/c~%2B");
  EXPECT_FALSE(percent_decode("%2", back));
  EXPECT_FALSE(percent_decode("%zz", back));
}

TEST(Bytes, PrintableNeverLeaksControlBytes) { EXPECT_EQ(printable("a\n\\\xff"), "a\\x0a\\x5c\\xff"); }

}  // namespace
}  // namespace hailstone
