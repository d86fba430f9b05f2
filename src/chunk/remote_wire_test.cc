#include "chunk/remote_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

namespace hailstone::chunk {
namespace {

const WriterMark kWriter{.term = 3, .generation = 300, .ended = 299};
const ChunkId kA(sha256("a")), kB(sha256("b"));

struct Sample {
  Bytes bytes;
  std::function<Result<Bytes>(ByteView)> again;  // read and written
};

std::map<std::string, Sample> samples() {
  const std::vector<NamedChunk> chunks{{kA, {.bytes = 1, .zstd = false, .payload = "a"}},
                                       {kB, {.bytes = 900, .zstd = true, .payload = "frame"}}};
  const std::vector<PutFailure> failures{{1, {Code::Exhausted, "disk full"}}};
  const std::vector<ChunkId> ids{kA, kB};
  const std::vector<bool> presence{true, false, true, true, false, false, false, false, true};
  Bytes answers = encode_get_answers();
  append_get_answer(answers, StoredChunk{.bytes = 900, .zstd = true, .payload = "frame"});
  append_get_answer(answers, fail(Code::NotFound, "nowhere"));
  return {
      {"put",
       {encode_put(kWriter, chunks),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto put, read_put(in));
          return encode_put(put.writer, put.chunks);
        }}},
      {"put_answer",
       {encode_put_answer(failures),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto answer, read_put_answer(in));
          return encode_put_answer(answer);
        }}},
      {"ids",
       {encode_ids(ids),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto request, read_ids(in));
          return encode_ids(request.ids);
        }}},
      {"touch",
       {encode_touch(kWriter, ids),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto request, read_touch(in));
          return encode_touch(request.writer, request.ids);
        }}},
      {"presence",
       {encode_presence(presence),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto present, read_presence(in, 9));
          return encode_presence(present);
        }}},
      {"get_answer",
       {answers,
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto read, read_get_answers(in, 2));
          Bytes out = encode_get_answers();
          for (const GetAnswer& each : read) {
            if (each.chunk) {
              append_get_answer(out, StoredChunk{each.chunk->bytes, each.chunk->zstd, Bytes(each.chunk->payload)});
            } else {
              append_get_answer(out, std::unexpected(each.chunk.error()));
            }
          }
          return out;
        }}},
      {"stat",
       {encode_stat({.bytes = 900, .stored_bytes = 300, .zstd = true}),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto stat, read_stat(in));
          return encode_stat(stat);
        }}},
      {"list",
       {encode_listing({kA, 1000}),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto list, read_listing(in));
          return encode_listing(list);
        }}},
      {"sessions",
       {encode_sessions(kWriter),
        [](ByteView in) -> Result<Bytes> {
          TRY(const auto writer, read_sessions(in));
          return encode_sessions(writer);
        }}},
  };
}

TEST(RemoteWire, IsWrittenAsTheGoldenFileHas) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/remote_v1.txt";
  const auto made = samples();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, sample] : made) out << name << ' ' << to_hex(sample.bytes) << '\n';
  }
  std::ifstream in(path);
  std::map<std::string, Bytes> kept;
  for (std::string name, hex; in >> name >> hex;) ASSERT_TRUE(from_hex(hex, kept[name])) << name;
  ASSERT_EQ(kept.size(), made.size());
  for (const auto& [name, sample] : made) EXPECT_EQ(to_hex(kept[name]), to_hex(sample.bytes)) << name;
}

TEST(RemoteWire, WhatIsReadIsWhatWasWritten) {
  for (const auto& [name, sample] : samples()) {
    const auto again = sample.again(sample.bytes);
    ASSERT_TRUE(again) << name << ": " << again.error().message;
    EXPECT_EQ(to_hex(*again), to_hex(sample.bytes)) << name;
  }
}

// Cut or with more behind it, nothing is read; flipped, it is refused or is another message that is written the same.
TEST(RemoteWire, NothingElseIsTaken) {
  for (const auto& [name, sample] : samples()) {
    for (size_t length = 0; length < sample.bytes.size(); ++length) {
      const auto cut = sample.again(sample.bytes.substr(0, length));
      if (cut) EXPECT_EQ(name, "get_answer") << "an answer may have fewer chunks than were asked for";
      if (!cut) EXPECT_TRUE(cut.error().code == Code::Corrupt) << name << " " << length;
    }
    EXPECT_EQ(sample.again(sample.bytes + "x").error().code, Code::Corrupt) << name;
    Bytes later = sample.bytes;
    later[0] = 2;
    EXPECT_EQ(sample.again(later).error().code, Code::Unsupported) << name;
    for (size_t bit = 0; bit < 8 * sample.bytes.size(); ++bit) {
      Bytes flipped = sample.bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      const auto read = sample.again(flipped);
      // Text is made printable and bits behind the last are dropped, so those two are not the same again.
      if (read && name != "put_answer" && name != "get_answer" && name != "presence")
        EXPECT_EQ(to_hex(*read), to_hex(flipped)) << name << " bit " << bit;
    }
  }
}

TEST(RemoteWire, RefusesSizesThatNoChunkHas) {
  const std::vector<NamedChunk> empty{{kA, {.bytes = 0, .zstd = false, .payload = ""}}};
  EXPECT_FALSE(read_put(encode_put(kWriter, empty)));
  const std::vector<NamedChunk> huge{{kA, {.bytes = kChunkBytesMax + 1, .zstd = true, .payload = "x"}}};
  EXPECT_FALSE(read_put(encode_put(kWriter, huge)));
  EXPECT_FALSE(read_put(encode_put({.term = 1, .generation = 5, .ended = 5}, {})));
  EXPECT_FALSE(read_get_answers(encode_get_answers(), 1)) << "at least one, else nobody gets on";
}

}  // namespace
}  // namespace hailstone::chunk
