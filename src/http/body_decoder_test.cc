#include "http/body_decoder.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace hailstone::http {
namespace {

using State = BodyDecoder::State;

// Feeds `raw` in pieces; "data|rest" at the end, "data..." when more is needed, "!reason".
std::string decode(BodyDecoder decoder, const std::vector<ByteView>& pieces) {
  std::string data;
  for (ByteView piece : pieces) {
    while (true) {
      const auto step = decoder.step(piece);
      piece.remove_prefix(step.consumed);
      data += step.data;
      if (step.state == State::Rejected) return "!" + std::string(reject_text(step.reason));
      if (step.state == State::End) return data + "|" + std::string(piece);
      if (step.state == State::NeedMore) break;
    }
  }
  return data + "...";
}

const std::vector<std::pair<std::string, std::string>>& chunked_cases() {
  static const std::vector<std::pair<std::string, std::string>> kCases = {
      {"0\r\n\r\n", "|"},
      {"5\r\nhello\r\n0\r\n\r\nGET", "hello|GET"},
      {"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world|"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789|"},
      {"5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello|"},
      {"5 \t;a\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\nx", "hello|x"},
      {"5\r\nhel", "hel..."},
      {"5\r\nhello\r\n0\r\n", "hello..."},
      {"\r\n", "!malformed chunk"},
      {"g\r\n", "!malformed chunk"},
      {"-1\r\n", "!malformed chunk"},
      {"0x5\r\nhello", "!malformed chunk"},
      {" 5\r\nhello", "!malformed chunk"},
      {"5 \r\nhello", "!malformed chunk"},
      {"5\nhello\r\n", "!malformed chunk"},
      {"5\r\nhello\n0\r\n\r\n", "!malformed chunk"},
      {"5\r\nhelloX\r\n", "!malformed chunk"},
      {"5\r\nhello0\r\n\r\n", "!malformed chunk"},
      {"5;a\nb\r\nhello", "!malformed chunk"},
      {"5\rX", "!malformed chunk"},
      {"10000000000000000\r\n", "!malformed chunk"},
      {"8000000000000000\r\n", "!malformed chunk"},
      {"00000000000000005\r\nhello", "!malformed chunk"},
      {"0\r\nA b: c\r\n\r\n", "!malformed trailer field"},
      {"0\r\n: c\r\n\r\n", "!malformed trailer field"},
      {"0\r\nA: b\n\r\n", "!malformed trailer field"},
      {"0\r\n\n", "!malformed trailer field"},
      {"0\r\nA\r\n\r\n", "!malformed trailer field"},
  };
  return kCases;
}

TEST(BodyDecoder, DecodesChunksAndRefusesMalformedOnes) {
  for (const auto& [raw, want] : chunked_cases())
    EXPECT_EQ(decode(BodyDecoder::chunked(), {raw}), want) << printable(raw);
}

TEST(BodyDecoder, GivesTheSameAnswerAtEverySplit) {
  for (const auto& [raw, want] : chunked_cases()) {
    const ByteView view = raw;
    for (size_t i = 0; i <= view.size(); ++i) {
      // The rest after the end is what the last piece had left.
      std::string got = decode(BodyDecoder::chunked(), {view.substr(0, i), view.substr(i)});
      std::string expected = want;
      if (const size_t bar = want.find('|'); bar != std::string::npos) {
        expected.resize(bar + 1);
        got.resize(std::min(got.size(), bar + 1));
      }
      EXPECT_EQ(got, expected) << printable(raw) << " at " << i;
    }
  }
}

TEST(BodyDecoder, SurvivesEveryFlippedBit) {
  for (const auto& [raw, want] : chunked_cases()) {
    for (size_t bit = 0; bit < raw.size() * 8; ++bit) {
      std::vector<char> bytes(raw.begin(), raw.end());
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      decode(BodyDecoder::chunked(), {{bytes.data(), bytes.size()}});
    }
  }
}

TEST(BodyDecoder, BoundsExtensionsAndTrailers) {
  const std::string line = "1;" + std::string(kChunkLineBytesMax - 4, 'x') + "\r\n";
  EXPECT_EQ(decode(BodyDecoder::chunked(), {line, "a\r\n0\r\n\r\n"}), "a|");
  EXPECT_EQ(decode(BodyDecoder::chunked(), {"1;" + std::string(kChunkLineBytesMax, 'x')}), "!malformed chunk");
  std::string many;
  for (uint32_t i = 0; i < kChunkExtensionBytesMax / 1000 + 1; ++i) many += "1;" + std::string(1000, 'x') + "\r\na\r\n";
  EXPECT_EQ(decode(BodyDecoder::chunked(), {many}), "!malformed chunk");
  EXPECT_EQ(decode(BodyDecoder::chunked(), {"0\r\nA: " + std::string(kTrailerBytesMax, 'x')}),
            "!malformed trailer field");
}

TEST(BodyDecoder, CountsFixedLengths) {
  EXPECT_EQ(decode(BodyDecoder::fixed(0), {"abc"}), "|abc");
  EXPECT_EQ(decode(BodyDecoder::fixed(2), {"abc"}), "ab|c");
  EXPECT_EQ(decode(BodyDecoder::fixed(4), {"abc"}), "abc...");
}

TEST(BodyDecoder, EndsAtCloseOnlyWhereThatIsTheFraming) {
  BodyDecoder open = BodyDecoder::until_close();
  EXPECT_EQ(decode(open, {"abc", "d"}), "abcd...");
  EXPECT_TRUE(open.finish_at_close());
  EXPECT_TRUE(open.ended());
  BodyDecoder fixed = BodyDecoder::fixed(3);
  EXPECT_FALSE(fixed.finish_at_close());
  BodyDecoder chunked = BodyDecoder::chunked();
  EXPECT_FALSE(chunked.finish_at_close());
}

TEST(BodyDecoder, ReadingPastTheBufferEqualsReadingThroughIt) {
  BodyDecoder d = BodyDecoder::chunked();
  EXPECT_EQ(d.certain(), 0u);
  EXPECT_EQ(d.step("5\r\n").state, State::NeedMore);
  EXPECT_EQ(d.certain(), 5u);
  d.skip(2);
  EXPECT_EQ(d.certain(), 3u);
  d.skip(3);
  EXPECT_EQ(d.certain(), 0u);
  EXPECT_EQ(d.step("\r\n0\r\n\r\n").state, State::End);
  const auto limited = BodyDecoder::fixed(5).step("hello", 2);
  EXPECT_EQ(limited.data, "he");
  EXPECT_EQ(limited.consumed, 2u);
}

RC_GTEST_PROP(BodyDecoder, ChunkingAnythingAndBackIsIdentity, (const std::vector<std::string>& chunks)) {
  std::string raw, whole;
  for (const std::string& c : chunks) {
    if (c.empty()) continue;
    char size[20];
    snprintf(size, sizeof size, "%zx\r\n", c.size());
    raw += size + c + "\r\n";
    whole += c;
  }
  raw += "0\r\n\r\n";
  RC_ASSERT(decode(BodyDecoder::chunked(), {raw}) == whole + "|");
}

}  // namespace
}  // namespace hailstone::http
