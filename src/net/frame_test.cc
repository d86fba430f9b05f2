#include "net/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/codec.h"
#include "base/hash.h"

namespace hailstone::net {
namespace {

Hello sample(HelloKind kind) {
  Hello hello{.kind = kind, .from = NodeId(1), .to = NodeId(2), .incarnation = 0x1122334455667788, .cell = "east"};
  if (kind != HelloKind::Refusal) return hello;
  hello.refusal = Refusal::Cell;
  hello.text = "another cell";
  return hello;
}

std::map<std::string, Bytes> samples() {
  return {
      {"data", encode_frame(FrameType::Data, 7, "hello")},    {"data_empty", encode_frame(FrameType::Data, 0, "")},
      {"ping", encode_frame(FrameType::Ping, 0, "12345678")}, {"pong", encode_frame(FrameType::Pong, 0, "12345678")},
      {"hello", encode_hello(sample(HelloKind::Hello))},      {"welcome", encode_hello(sample(HelloKind::Welcome))},
      {"refusal", encode_hello(sample(HelloKind::Refusal))}};
}

TEST(Frame, IsWrittenAsTheGoldenFileHas) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/net_v1.txt";
  const auto made = samples();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << to_hex(bytes) << '\n';
  }
  std::ifstream in(path);
  std::map<std::string, Bytes> kept;
  for (std::string name, hex; in >> name >> hex;) ASSERT_TRUE(from_hex(hex, kept[name])) << name;
  ASSERT_EQ(kept.size(), made.size());
  for (const auto& [name, bytes] : made) EXPECT_EQ(to_hex(kept[name]), to_hex(bytes)) << name;
}

RC_GTEST_PROP(Frame, RoundTripsAndNeedsAllOfItsBytes, (std::string payload, uint8_t channel, std::string after)) {
  const Bytes bytes = encode_frame(FrameType::Data, channel, payload);
  FrameView frame;
  for (size_t length = 0; length < bytes.size(); ++length)
    RC_ASSERT(read_frame(ByteView(bytes).substr(0, length), frame).value() == 0u);
  RC_ASSERT(read_frame(bytes + after, frame).value() == bytes.size());
  const Bytes whole = bytes + after;
  RC_ASSERT(read_frame(whole, frame).has_value());
  RC_ASSERT(frame.type == FrameType::Data && frame.channel == channel && frame.payload == payload);
}

TEST(Frame, EveryFlippedBitIsSeen) {
  for (const auto& [name, bytes] : samples())
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      Bytes flipped = bytes + Bytes(64, 'x');
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      FrameView frame;
      Hello hello;
      const bool is_frame = name.starts_with("data") || name.starts_with("p");
      const auto length = is_frame ? read_frame(flipped, frame) : read_hello(flipped, hello);
      if (length) EXPECT_EQ(*length, 0u) << name << " bit " << bit;
      if (is_frame) EXPECT_FALSE(length) << name << " bit " << bit;
    }
}

// A frame that verifies but asks for more than there is: the header as a later or wicked peer would make it.
Bytes forged(uint32_t length, uint8_t type, uint16_t reserved) {
  Bytes bytes;
  Encoder out(bytes);
  out.u32(length);
  out.u8(type);
  out.u8(0);
  out.u16(reserved);
  out.u32(crc32c(bytes));
  out.u32(0);
  return bytes;
}

TEST(Frame, HeadersAreJudgedBeforeTheirPayloadComes) {
  FrameView frame;
  const auto refused = [&](const Bytes& bytes) {
    const auto length = read_frame(bytes, frame);
    return length ? "taken" : std::string(code_name(length.error().code)) + ": " + length.error().message;
  };
  EXPECT_EQ(refused(forged(16u << 20, 1, 0)), "taken");
  EXPECT_EQ(refused(forged((16u << 20) + 1, 1, 0)), "unsupported: frame of 16777217 bytes, at most 16777216");
  EXPECT_EQ(refused(forged(5, 4, 0)), "unsupported: frame of type 4, reserved 0");
  EXPECT_EQ(refused(forged(5, 0, 0)), "unsupported: frame of type 0, reserved 0");
  EXPECT_EQ(refused(forged(5, 1, 1)), "unsupported: frame of type 1, reserved 1");
  EXPECT_EQ(refused(forged(65, 2, 0)), "unsupported: ping of 65 bytes, at most 64");
}

TEST(Hello, RoundTripsAndNeedsAllOfItsBytes) {
  for (const HelloKind kind : {HelloKind::Hello, HelloKind::Welcome, HelloKind::Refusal}) {
    const Bytes bytes = encode_hello(sample(kind));
    Hello hello;
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_EQ(read_hello(ByteView(bytes).substr(0, length), hello), Result<size_t>(0));
    EXPECT_EQ(read_hello(bytes + "more", hello), Result<size_t>(bytes.size()));
    EXPECT_EQ(hello, sample(kind));
  }
}

TEST(Hello, GarbageIsRefusedByItsFirstByte) {
  Hello hello;
  EXPECT_EQ(read_hello("GET / HTTP/1.1\r\n", hello).error().message, "not a hello: 'GET / HTTP/1.1\\x0d\\x0a'");
  EXPECT_FALSE(read_hello("\x16", hello));
  EXPECT_FALSE(read_hello(Bytes("HAILNODE\xff\xff", 10), hello));
  EXPECT_FALSE(read_hello(Bytes("HAILNODE\x01\x00", 10), hello));
}

TEST(Hello, WhatALaterProgramAddsIsSkipped) {
  Bytes bytes = encode_hello(sample(HelloKind::Hello));
  bytes.resize(bytes.size() - 4);
  bytes += "something new";
  bytes[8] = static_cast<char>(bytes[8] + 13);
  Encoder(bytes).u32(crc32c(bytes));
  Hello hello;
  EXPECT_EQ(read_hello(bytes, hello), Result<size_t>(bytes.size()));
  EXPECT_EQ(hello, sample(HelloKind::Hello));
}

TEST(Hello, LongTextsAreCut) {
  Hello refusal = sample(HelloKind::Refusal);
  refusal.text = std::string(5000, 'x');
  Hello back;
  ASSERT_TRUE(read_hello(encode_hello(refusal), back));
  EXPECT_EQ(back.text.size(), kRefusalBytesMax);
}

TEST(Hello, IsJudged) {
  const Hello self{.from = NodeId(2), .cell = "east"};
  const Hello good = sample(HelloKind::Hello);
  const auto verdict = [&](const Hello& theirs, NodeId dialled = {}) {
    const auto refused = judge(theirs, self, dialled);
    return refused ? refused->text : "";
  };
  const auto with = [&](auto change) {
    Hello out = good;
    change(out);
    return out;
  };
  EXPECT_EQ(verdict(good), "");
  EXPECT_EQ(verdict(good, NodeId(1)), "");
  EXPECT_EQ(verdict(good, NodeId(3)), "looking for node-3, found node-1");
  EXPECT_EQ(verdict(with([](Hello& h) { h.to = NodeId(9); })), "looking for node-9, found node-2");
  EXPECT_EQ(verdict(with([](Hello& h) { h.from = NodeId(2); })), "two nodes are called node-2");
  EXPECT_EQ(verdict(with([](Hello& h) { h.cell = "west"; })), "node-1 is of cell 'west', node-2 of cell 'east'");
  EXPECT_EQ(verdict(with([](Hello& h) { h.version_min = h.version_max = 2; })),
            "node-1 speaks versions 2..2, node-2 speaks 1..1");
  EXPECT_EQ(verdict(with([](Hello& h) { h.version_max = 9; })), "");
}

}  // namespace
}  // namespace hailstone::net
