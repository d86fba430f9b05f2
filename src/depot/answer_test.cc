// Codings, sendfile and damage: contents in a store that has them in files, compressed and plain.
#include "depot/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <random>

#include "depot/frame_store_for_tests.h"
#include "depot/rig_for_tests.h"

namespace hailstone::depot {
namespace {

using testing::Got;
using ::testing::HasSubstr;
using testing::Headers;

Bytes noise(size_t size, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// Text that compresses, each part different.
Bytes text(size_t size) {
  Bytes out;
  for (uint64_t i = 0; out.size() < size; ++i)
    out += "line " + std::to_string(i * 0x9e3779b97f4a7c15u) + " of the text\n";
  out.resize(size);
  return out;
}

Bytes unzstd(ByteView bytes) {  // any number of frames
  ZSTD_DCtx* context = ZSTD_createDCtx();
  Bytes out, buffer(1 << 20, '\0');
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  while (in.pos < in.size) {
    ZSTD_outBuffer to{buffer.data(), buffer.size(), 0};
    const size_t code = ZSTD_decompressStream(context, &to, &in);
    EXPECT_FALSE(ZSTD_isError(code)) << ZSTD_getErrorName(code);
    if (ZSTD_isError(code)) break;
    out.append(buffer.data(), to.pos);
  }
  ZSTD_freeDCtx(context);
  return out;
}

Bytes gunzip(ByteView bytes, size_t size) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  Bytes out(size, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  return out;
}

class Answering : public ::testing::Test {
 protected:
  FilePtr file(ByteView bytes, Bytes type = "text/plain; charset=utf-8") {
    volume::Entry entry;
    const auto content = chunk::write_content(store_, {}, bytes);
    EXPECT_TRUE(content);
    entry.content = *content;
    auto file = stored_file(store_, entry, std::move(type), "Cache-Control: no-cache\r\n", 1'700'000'000,
                            {options_.memory_body_max, options_.gzip_bytes_max}, nullptr);
    EXPECT_TRUE(file);
    return *file;
  }
  Got get(const FilePtr& file, const Headers& headers = {}) {
    const testing::ParsedHead parsed("GET", "/x", headers);
    return testing::collect(testing::run(answers_.answer(file, parsed.head, read_facts(parsed.head))));
  }
  static Headers accept(Bytes codings) { return {{"Accept-Encoding", std::move(codings)}}; }

  testing::FrameStore store_;
  http::BlockingPool pool_{{.threads = 1, .queue_max = 4}};
  Options options_;
  chunk::ExtentCache extents_{store_, {}};
  Answers answers_{extents_, pool_, options_};
};

TEST_F(Answering, SmallContentsComeFromMemoryLargeOnesFromTheirFile) {
  const Bytes small = noise(16u << 10), large = noise(64u << 10);
  const Got a = get(file(small));
  EXPECT_EQ(a.body, small);
  EXPECT_FALSE(a.by_file);
  const Got b = get(file(large));
  EXPECT_EQ(b.body, large);
  EXPECT_TRUE(b.by_file);
  const Got c = get(file(large), {{"Range", "bytes=100-199"}});
  EXPECT_EQ(c.body, large.substr(100, 100));
  EXPECT_TRUE(c.by_file);
}

TEST_F(Answering, AStoreWithoutPlacesServesTheSameBytes) {
  store_.without_places = true;
  const Bytes large = noise(64u << 10), packed = text(64u << 10);
  EXPECT_EQ(get(file(large)).body, large);
  EXPECT_EQ(get(file(packed), accept("zstd")).body, packed);
  EXPECT_FALSE(get(file(packed), accept("zstd")).has("Content-Encoding"));
}

TEST_F(Answering, WhatIsAskedForOftenIsVerifiedOnce) {
  const Bytes bytes = noise(64u << 10);
  const auto f = file(bytes);
  for (int i = 0; i < 5; ++i) {
    const Got got = get(f);
    EXPECT_EQ(got.body, bytes);
    EXPECT_TRUE(got.by_file);
  }
  EXPECT_LE(store_.extents, 2);
}

TEST_F(Answering, StoredFramesGoOutAsTheyAre) {
  for (size_t size : {size_t{5'000}, size_t{100'000}, size_t{9} << 20}) {
    const Bytes bytes = text(size);
    const auto f = file(bytes);
    ASSERT_TRUE(f->codings.zstd) << size;
    const Got got = get(f, accept("gzip, zstd"));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.header("Content-Encoding"), "zstd");
    EXPECT_EQ(got.header("ETag"), "\"" + sha256(bytes).hex() + "-zstd\"");
    EXPECT_EQ(got.header("Vary"), "Accept-Encoding");
    EXPECT_FALSE(got.has("Accept-Ranges"));
    EXPECT_LT(got.body.size(), bytes.size());
    EXPECT_EQ(got.length, got.body.size());
    EXPECT_EQ(unzstd(got.body), bytes);
    const Got plain = get(f);
    EXPECT_EQ(plain.body, bytes);
    EXPECT_EQ(plain.header("Vary"), "Accept-Encoding") << "the plain answer depends on it too";
    EXPECT_EQ(plain.header("ETag"), "\"" + sha256(bytes).hex() + "\"");
  }
}

TEST_F(Answering, WhatIsStoredPlainIsNeverCompressed) {
  const Bytes bytes = noise(100'000);
  const Got got = get(file(bytes), accept("gzip, zstd"));
  EXPECT_EQ(got.body, bytes);
  EXPECT_FALSE(got.has("Content-Encoding"));
  EXPECT_FALSE(got.has("Vary"));
}

TEST_F(Answering, PartlyCompressedContentsAreNoStreamOfFrames) {
  Bytes bytes = text(5u << 20) + noise(5u << 20);
  const auto f = file(bytes);
  ASSERT_TRUE(f->codings.pays);
  EXPECT_FALSE(f->codings.zstd);
  EXPECT_EQ(get(f, accept("zstd")).body, bytes);
}

TEST_F(Answering, GzipOfTextWhereZstdIsNotTaken) {
  for (size_t size : {size_t{5'000}, size_t{200'000}}) {  // here, and on the pool
    const Bytes bytes = text(size);
    const auto f = file(bytes);
    for (int round = 0; round < 2; ++round) {
      const Got got = get(f, accept("gzip"));
      EXPECT_EQ(got.header("Content-Encoding"), "gzip");
      EXPECT_EQ(got.header("ETag"), "\"" + sha256(bytes).hex() + "-gzip\"");
      EXPECT_EQ(gunzip(got.body, bytes.size()), bytes);
    }
  }
  EXPECT_FALSE(get(file(text(5'000), "image/x"), accept("gzip")).has("Content-Encoding")) << "not of a text type";
  EXPECT_FALSE(get(file(text(2u << 20)), accept("gzip")).has("Content-Encoding")) << "too large";
  EXPECT_FALSE(get(file(text(300)), accept("gzip")).has("Content-Encoding")) << "too small";
  EXPECT_FALSE(get(file(text(5'000)), accept("gzip;q=0")).has("Content-Encoding"));
}

TEST_F(Answering, GzipIsKept) {
  const auto f = file(text(5'000));
  get(f, accept("gzip"));
  const int gets = store_.gets;
  f->body = nullptr;
  get(f, accept("gzip"));
  EXPECT_EQ(store_.gets, gets);
}

TEST_F(Answering, EachCodingIsValidatedByItsOwnTag) {
  const auto f = file(text(5'000));
  const Bytes plain = get(f).header("ETag");
  const Bytes zstd = get(f, accept("zstd")).header("ETag");
  const auto status = [&](Bytes tag, Bytes codings) {
    return get(f, {{"If-None-Match", std::move(tag)}, {"Accept-Encoding", std::move(codings)}}).status;
  };
  EXPECT_EQ(status(zstd, "zstd"), 304);
  EXPECT_EQ(status(plain, "zstd"), 200);
  EXPECT_EQ(status(zstd, "identity"), 200);
  EXPECT_EQ(status(plain, "identity"), 304);
  EXPECT_EQ(get(f, {{"If-None-Match", zstd}, {"Accept-Encoding", "zstd"}}).header("Vary"), "Accept-Encoding");
}

TEST_F(Answering, RangesAreOfThePlainBytes) {
  const Bytes bytes = text(100'000);
  const auto f = file(bytes);
  const Got got = get(f, {{"Range", "bytes=1000-1999"}, {"Accept-Encoding", "zstd, gzip"}});
  EXPECT_EQ(got.status, 206);
  EXPECT_EQ(got.body, bytes.substr(1000, 1000));
  EXPECT_FALSE(got.has("Content-Encoding"));
  const Bytes zstd = get(f, accept("zstd")).header("ETag");
  EXPECT_EQ(get(f, {{"Range", "bytes=1000-"}, {"If-Range", zstd}, {"Accept-Encoding", "zstd"}}).status, 200)
      << "the rest of a coded answer is not the rest of the plain one";
}

TEST_F(Answering, MultiRangeOverManyChunks) {
  const Bytes bytes = noise(10u << 20);
  const auto f = file(bytes, "application/x");
  ASSERT_GT(f->content.refs.size(), 2u);
  const Got got = get(f, {{"Range", "bytes=10-5000000,6000000-9000000,-100"}});
  EXPECT_EQ(got.status, 206);
  EXPECT_EQ(got.length, got.body.size());
  for (const auto& [from, length] :
       {std::pair<size_t, size_t>{10, 4'999'991}, {6'000'000, 3'000'001}, {bytes.size() - 100, 100}}) {
    const Bytes head = "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(from + length - 1) + "/" +
                       std::to_string(bytes.size()) + "\r\n\r\n";
    const size_t at = got.body.find(head);
    ASSERT_NE(at, Bytes::npos) << head;
    EXPECT_EQ(got.body.substr(at + head.size(), length), bytes.substr(from, length));
  }
}

TEST_F(Answering, EmptyFiles) {
  const auto f = file("");
  EXPECT_EQ(get(f).status, 200);
  EXPECT_EQ(get(f).body, "");
  EXPECT_EQ(get(f).length, 0u);
  EXPECT_EQ(get(f, {{"Range", "bytes=0-"}}).status, 416);
}

TEST_F(Answering, UnpackedTextIsReadOnce) {
  const Bytes bytes = text(200'000);
  const auto f = file(bytes);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(f).body, bytes);
  EXPECT_EQ(store_.gets, 1);
  EXPECT_EQ(get(f, {{"Range", "bytes=7-9"}}).body, bytes.substr(7, 3));
  EXPECT_EQ(store_.gets, 1);
}

TEST_F(Answering, DamageIsNeverAWrongByte) {
  for (const Bytes& bytes : {noise(1'000, 7), noise(64u << 10, 8), text(70'000), noise(10u << 20, 9)}) {
    const auto content = chunk::write_content(store_, {}, bytes);
    ASSERT_TRUE(content);
    for (const chunk::Ref& ref : content->refs) store_.corrupt.insert(ref.id);
    volume::Entry entry;
    entry.content = *content;
    const auto f = stored_file(store_, entry, "text/plain", "", std::nullopt,
                               {options_.memory_body_max, options_.gzip_bytes_max}, nullptr);
    if (!f) {
      EXPECT_EQ(f.error().code, Code::Corrupt);
      continue;
    }
    for (const Headers& headers : {Headers{}, accept("zstd"), accept("gzip"), Headers{{"Range", "bytes=5-9"}},
                                   Headers{{"Range", "bytes=5-9,20-29"}}}) {
      const Got got = get(*f, headers);
      EXPECT_TRUE(got.status == 500 || got.cut) << bytes.size();
      if (got.status == 500) EXPECT_EQ(got.header("Cache-Control"), "no-store");
    }
  }
}

TEST_F(Answering, ANewFileForTheSameContentKeepsWhatIsKnown) {
  const Bytes bytes = text(200'000);
  const auto before = file(bytes);
  get(before);
  volume::Entry entry;
  entry.content = before->content;
  const auto after = stored_file(store_, entry, "text/plain", "X: y\r\n", 1'700'000'001,
                                 {options_.memory_body_max, options_.gzip_bytes_max}, before.get());
  EXPECT_EQ((*after)->body, before->body);
  EXPECT_EQ(get(*after).header("X"), "y");
  EXPECT_EQ(store_.gets, 1);
}

}  // namespace
}  // namespace hailstone::depot
