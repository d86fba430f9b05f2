#include "base/hash.h"

#include <gtest/gtest.h>

namespace hailstone {
namespace {

TEST(Hash, MatchesPublishedVectors) {
  EXPECT_EQ(sha256("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);  // RFC 3720 §B.4 check value
  Hasher md5(Hasher::Kind::Md5);
  md5.update("a");
  md5.update("bc");
  EXPECT_EQ(to_hex(md5.finish()), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(Hash, IncrementalEqualsWhole) {
  Hasher h(Hasher::Kind::Sha256);
  h.update("hello ");
  h.update("world");
  EXPECT_EQ(h.finish(), sha256("hello world").view());
  EXPECT_EQ(crc32c("world", crc32c("hello ")), crc32c("hello world"));
}

TEST(Hash, ParsesOnlyWholeHexNames) {
  const Hash256 h = sha256("x");
  EXPECT_EQ(Hash256::parse_hex(h.hex()), h);
  EXPECT_FALSE(Hash256::parse_hex(h.hex().substr(1)));
  EXPECT_FALSE(Hash256::parse_hex("zz" + h.hex().substr(2)));
}

}  // namespace
}  // namespace hailstone
