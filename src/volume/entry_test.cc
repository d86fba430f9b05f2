#include "volume/entry.h"

#include <gtest/gtest.h>

namespace hailstone::volume {
namespace {

Entry sample() {
  Entry entry;
  entry.kind = Kind::File;
  entry.content.bytes = 5;
  entry.content.inlined = "hello";
  entry.content.sha256 = sha256("hello");
  entry.modified_ns = -1'500'000'001;
  Posix posix;
  posix.mode = 04755;
  posix.uid = 1000;
  posix.gid = 4'000'000'000u;
  posix.sparse = true;
  posix.link = "a/first";
  posix.xattrs = {{"system.posix_acl_access", Bytes("\x02\0\0\0", 4)}, {"user.x", ""}};
  entry.posix = posix;
  entry.content_type = "text/plain";
  entry.metadata = {{"color", "blue"}, {"size", "5"}};
  entry.etag = "abc-2";
  return entry;
}

TEST(Entry, RoundTripsEveryField) {
  auto bytes = sample().encode();
  ASSERT_TRUE(bytes);
  auto back = Entry::decode(*bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, sample());
  EXPECT_EQ(*back->encode(), *bytes);
}

TEST(Entry, TruncationAnywhereIsCorrupt) {
  const Bytes bytes = *sample().encode();
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    auto back = Entry::decode(ByteView(bytes).substr(0, cut));
    ASSERT_FALSE(back) << cut;
    EXPECT_EQ(back.error().code, Code::Corrupt);
  }
  EXPECT_FALSE(Entry::decode(bytes + "x"));
}

TEST(Entry, FlippedBitsNeverCrashAndNeverAlias) {
  const Bytes bytes = *sample().encode();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    if (auto back = Entry::decode(damaged)) EXPECT_EQ(*back->encode(), damaged) << bit;  // one form per value
  }
}

TEST(Entry, RefusesMetadataBeyondItsLimit) {
  Entry entry = sample();
  entry.metadata["big"] = Bytes(kMetadataBytesMax, 'x');
  auto bytes = entry.encode();
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, Code::Invalid);
}

TEST(Key, LimitsAreThoseOfS3) {
  EXPECT_TRUE(validate_key(Bytes(1024, 'k')));
  EXPECT_FALSE(validate_key(Bytes(1025, 'k')));
  EXPECT_FALSE(validate_key(""));
}

}  // namespace
}  // namespace hailstone::volume
