#include "depot/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace hailstone::depot {
namespace {

Bytes gunzip(ByteView bytes, size_t size_max) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  Bytes out(size_max, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(Gzip, RoundTripAndAlwaysTheSame) {
  for (const Bytes& bytes : {Bytes(), Bytes("a"), Bytes(100'000, 'x'), Bytes("\0\xff\0", 3)}) {
    const auto coded = gzip(bytes);
    ASSERT_TRUE(coded);
    EXPECT_EQ(gunzip(*coded, bytes.size() + 1), bytes);
    EXPECT_EQ(*coded, *gzip(bytes));
  }
  EXPECT_LT(gzip(Bytes(100'000, 'x'))->size(), 1000u);
}

TEST(Gzip, TypesThatCompress) {
  for (std::string_view type :
       {"text/html; charset=utf-8", "TEXT/plain", "application/json", "image/svg+xml", "application/xml ;x"})
    EXPECT_TRUE(is_compressible(type)) << type;
  for (std::string_view type :
       {"", "image/png", "application/octet-stream", "application/gzip", "application/vnd.debian.binary-package"})
    EXPECT_FALSE(is_compressible(type)) << type;
}

}  // namespace
}  // namespace hailstone::depot
