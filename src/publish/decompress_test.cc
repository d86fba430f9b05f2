#include "publish/decompress.h"

#include <gtest/gtest.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

namespace hailstone::publish {
namespace {

Bytes gzip(ByteView text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes xz(ByteView text) {
  Bytes out(text.size() + 1000, '\0');
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                    text.size(), reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

Bytes zstd(ByteView text) {
  Bytes out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

Result<Bytes> decoded(Coding coding, ByteView stream, size_t piece_bytes, uint64_t bytes_max = 10 << 20) {
  Bytes out;
  auto result = decompress(
      coding,
      [&]() -> Result<Bytes> {
        const ByteView piece = stream.substr(0, piece_bytes);
        stream.remove_prefix(piece.size());
        return Bytes(piece);
      },
      [&](ByteView bytes) -> Result<void> {
        out += bytes;
        return {};
      },
      bytes_max);
  if (!result) return std::unexpected(result.error());
  return out;
}

struct Case {
  Coding coding;
  Bytes (*encode)(ByteView);
};
const Case kCases[] = {{Coding::Gzip, gzip}, {Coding::Xz, xz}, {Coding::Zstd, zstd}};

TEST(Decompress, GivesBackWhatWasCompressedWhateverThePieces) {
  Bytes text;
  for (int i = 0; i < 100'000; ++i) text += "line " + std::to_string(i % 1000) + "\n";
  for (const Case& c : kCases)
    for (size_t piece : {size_t{1}, size_t{1000}, size_t{1} << 20})
      EXPECT_TRUE(decoded(c.coding, c.encode(text), piece).value_or("") == text)
          << static_cast<int>(c.coding) << " " << piece;
  EXPECT_TRUE(decoded(Coding::Plain, text, 4096).value() == text);
  EXPECT_EQ(decoded(Coding::Gzip, gzip("one") + gzip("two"), 1).value(), "onetwo");
}

TEST(Decompress, RefusesWhatIsCutDamagedOrTooBig) {
  const Bytes text(1'000'000, 'x');
  for (const Case& c : kCases) {
    const Bytes stream = c.encode("some text that is long enough to be damaged");
    for (size_t cut = 0; cut < stream.size(); ++cut)
      EXPECT_EQ(decoded(c.coding, ByteView(stream).substr(0, cut), 7).error().code, Code::Invalid) << cut;
    Bytes damaged = stream;
    damaged[stream.size() / 2] = static_cast<char>(damaged[stream.size() / 2] ^ 0x55);
    if (c.coding != Coding::Zstd)
      EXPECT_FALSE(decoded(c.coding, damaged, 100).has_value());  // ZSTD_compress adds no checksum
    EXPECT_FALSE(decoded(c.coding, stream + "junk", 1000).has_value());
    EXPECT_EQ(decoded(c.coding, c.encode(text), 1 << 20, 999'999).error().code, Code::Invalid);
    EXPECT_TRUE(decoded(c.coding, c.encode(text), 1 << 20, 1'000'000).has_value());
  }
}

TEST(Decompress, KnowsCodingsByName) {
  EXPECT_EQ(coding_of("a/Packages"), Coding::Plain);
  EXPECT_EQ(coding_of("a/Packages.gz"), Coding::Gzip);
  EXPECT_EQ(coding_of("a/Packages.xz"), Coding::Xz);
  EXPECT_EQ(coding_of("a/Packages.zst"), Coding::Zstd);
  EXPECT_FALSE(coding_of("a/Packages.bz2").has_value());
  EXPECT_EQ(without_coding("a/Packages.bz2"), "a/Packages");
  EXPECT_EQ(without_coding("a/Packages"), "a/Packages");
}

}  // namespace
}  // namespace hailstone::publish
