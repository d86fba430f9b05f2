#include "mirror/wire.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <sstream>

#include "mirror/testing_tree.h"

namespace hailstone::mirror {
namespace {

volume::Entry sample_entry() {
  volume::Entry entry;
  entry.modified_ns = 1'700'000'000'123'456'789;
  entry.posix.emplace();
  entry.posix->mode = 0644;
  entry.posix->uid = 1000;
  entry.posix->xattrs = {{"user.a", "1"}};
  return entry;
}

Bytes sample_stream() {
  WireEncoder out;
  EXPECT_TRUE(out.put_inline("a.txt", sample_entry(), "hello"));
  EXPECT_TRUE(out.begin_put("big", sample_entry(), 10));
  out.data("01234");
  out.data("56789");
  out.done(sha256("0123456789"));
  EXPECT_TRUE(out.begin_put("changing", sample_entry(), 10));
  out.data("012");
  out.abandon();
  volume::Entry copied = sample_entry();
  copied.content = content_of(Bytes(500, 'x'));
  EXPECT_TRUE(out.copy("copied", copied));
  out.remove("old");
  out.end();
  return out.take();
}

// Everything delivered, as text; data frames of one put joined, so that it does not depend on the split.
Result<std::string> decode(ByteView stream, size_t piece) {
  WireDecoder in;
  std::string out;
  for (size_t at = 0; at < stream.size(); at += piece) {
    in.feed(stream.substr(at, piece));
    while (true) {
      TRY(auto event, in.next());
      if (!event) break;
      if (auto* put = std::get_if<WirePut>(&*event))
        out += "put " + put->key + " " + std::to_string(put->bytes) + (put->inlined ? " =" + *put->inlined : "") + "\n";
      if (auto* data = std::get_if<WireData>(&*event)) out += Bytes(data->bytes) + "\n";
      if (auto* done = std::get_if<WireDone>(&*event)) out += "done " + done->sha256.brief() + "\n";
      if (std::holds_alternative<WireAbandon>(*event)) out += "abandon\n";
      if (auto* copy = std::get_if<WireCopy>(&*event))
        out += "copy " + copy->key + " " + std::to_string(copy->entry.content.bytes) + "\n";
      if (auto* gone = std::get_if<WireDelete>(&*event)) out += "delete " + gone->key + "\n";
      if (auto* end = std::get_if<WireEnd>(&*event))
        out += "end " + std::to_string(end->counts.puts) + " " + std::to_string(end->counts.bytes) + "\n";
    }
  }
  TRY_DO(in.finish());
  return out;
}

constexpr std::string_view kSampleEvents =
    "put a.txt 5 =hello\nput big 10\n01234\n56789\ndone 84d89877f0d4\nput changing 10\n012\nabandon\ncopy copied 500\n"
    "delete old\nend 2 15\n";

TEST(Wire, DecodesWhatWasEncodedAtAnySplit) {
  const Bytes stream = sample_stream();
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    const auto events = decode(stream, piece);
    ASSERT_TRUE(events) << piece << ": " << events.error().message;
    EXPECT_EQ(*events, kSampleEvents);
  }
}

TEST(Wire, KeepsTheEntryOfAPutWithoutItsContent) {
  WireDecoder in;
  in.feed(sample_stream());
  const auto event = in.next();
  ASSERT_TRUE(event && *event);
  const auto& put = std::get<WirePut>(**event);
  EXPECT_EQ(put.entry.posix, sample_entry().posix);
  EXPECT_EQ(put.entry.modified_ns, sample_entry().modified_ns);
  EXPECT_EQ(put.entry.content.bytes, 0u);
}

TEST(Wire, NoticesEveryFlippedBit) {
  const Bytes stream = sample_stream();
  for (size_t bit = 0; bit < stream.size() * 8; ++bit) {
    Bytes damaged = stream;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto events = decode(damaged, 64);
    ASSERT_FALSE(events) << "bit " << bit;
    EXPECT_EQ(events.error().code, Code::Corrupt);
  }
}

TEST(Wire, NoticesEveryCut) {
  const Bytes stream = sample_stream();
  for (size_t size = 0; size < stream.size(); ++size)
    EXPECT_FALSE(decode(ByteView(stream).substr(0, size), 64)) << size;
  EXPECT_FALSE(decode(stream + "x", 64));
}

TEST(Wire, NoticesAFrameThatIsMissing) {
  WireEncoder one, two;
  one.remove("a");
  const Bytes prefix = one.take();
  one.remove("b");
  (void)one.take();  // lost
  one.remove("c");
  one.end();
  EXPECT_FALSE(decode(prefix + one.take(), 1000));
}

TEST(Wire, RefusesDataOutsideOfAPut) {
  // A frame of type DATA right after the header, with a true checksum.
  Bytes stream = WireEncoder().take();
  Bytes head;
  Encoder(head).u8(2);
  Encoder(head).u32(1);
  Encoder out(stream);
  out.raw(head);
  out.u32(crc32c("x", crc32c(head)));
  out.raw("x");
  const auto events = decode(stream, 1000);
  ASSERT_FALSE(events);
  EXPECT_NE(events.error().message.find("outside a put"), std::string::npos) << events.error().message;
}

TEST(Wire, RefusesMetadataThatIsTooLongAndWritesNothing) {
  volume::Entry entry = sample_entry();
  entry.posix->xattrs = {{"user.long", Bytes(volume::kMetadataBytesMax + 1, 'v')}};
  WireEncoder out;
  const size_t before = out.pending();
  EXPECT_FALSE(out.put_inline("k", entry, "x"));
  EXPECT_EQ(out.pending(), before);
}

RC_GTEST_PROP(Wire, CarriesAnyContent, (std::string content)) {
  WireEncoder out;
  RC_ASSERT(out.begin_put("k", {}, content.size()).has_value());
  out.data(content);
  out.done(sha256(content));
  out.end();
  WireDecoder in;
  in.feed(out.take());
  Bytes got;
  while (true) {
    auto event = in.next();
    RC_ASSERT(event.has_value());
    if (!*event) break;
    if (auto* data = std::get_if<WireData>(&**event)) got += data->bytes;
  }
  RC_ASSERT(got == content);
  RC_ASSERT(in.finish().has_value());
}

TEST(Wire, EncodesTheGoldenStream) {
  const std::string path = HAILSTONE_MIRROR_TESTDATA "/wire-v1.hex";
  std::string golden = read_text(path);
  std::erase(golden, '\n');
  EXPECT_EQ(to_hex(sample_stream()), golden);
}

}  // namespace
}  // namespace hailstone::mirror
