#include "base/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hailstone {
namespace {

RC_GTEST_PROP(Codec, VarintsRoundTrip, (uint64_t u, int64_t s)) {
  Bytes out;
  Encoder e(out);
  e.varint(u);
  e.svarint(s);
  Decoder d(out);
  RC_ASSERT(d.varint() == u);
  RC_ASSERT(d.svarint() == s);
  RC_ASSERT(d.done());
}

TEST(Codec, IntegersAreLittleEndian) {
  Bytes out;
  Encoder e(out);
  e.u32(0x01020304);
  e.bytes("hi");
  EXPECT_EQ(to_hex(out), "04030201026869");
}

TEST(Codec, ShortInputPoisonsEveryLaterField) {
  Bytes out;
  Encoder e(out);
  e.u64(7);
  e.bytes("payload");
  for (size_t cut = 0; cut < out.size(); ++cut) {
    Decoder d(ByteView(out).substr(0, cut));
    d.u64();
    d.bytes();
    EXPECT_FALSE(d.ok()) << cut;
    EXPECT_EQ(d.u8(), 0);
  }
}

TEST(Codec, VarintHasOneFormOnly) {
  for (const char* hex : {"8000", "ffffffffffffffffff02", "ffffffffffffffffffff01", "80"}) {
    Bytes raw;
    ASSERT_TRUE(from_hex(hex, raw));
    Decoder d(raw);
    d.varint();
    EXPECT_FALSE(d.ok()) << hex;
  }
}

}  // namespace
}  // namespace hailstone
