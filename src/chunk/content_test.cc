#include "chunk/content.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <set>

#include "chunk/list_chunk.h"
#include "chunk/test_bytes.h"

namespace hailstone::chunk {
namespace {

constexpr CutOptions kSmall{.min_bytes = 64, .average_bytes = 128, .max_bytes = 256};

Bytes encoded(const Content& content) {
  Bytes out;
  Encoder encoder(out);
  content.encode(encoder);
  return out;
}

std::optional<Content> decoded(ByteView bytes) {
  Decoder in(bytes);
  Content content = Content::decode(in);
  if (!in.done()) return std::nullopt;
  return content;
}

Content written(ChunkStore& store, ByteView bytes, const CutOptions& options = kSmall) {
  auto content = write_content(store, options, bytes);
  EXPECT_TRUE(content) << content.error().message;
  return content.value_or(Content{});
}

TEST(Content, UpTo192BytesAreInline) {
  auto store = make_memory_store();
  for (const size_t size : {0, 1, 191, 192}) {
    const Bytes bytes = noise(size, size);
    const Content content = written(*store, bytes);
    EXPECT_EQ(content.inlined, bytes);
    EXPECT_EQ(content.bytes, size);
    EXPECT_TRUE(content.refs.empty());
    EXPECT_EQ(content.sha256, sha256(bytes));
  }
  EXPECT_EQ(store->stats().chunks, 0u);
}

TEST(Content, OneChunkIsNamedAsTheContentIs) {
  auto store = make_memory_store();
  const Bytes bytes = noise(60'000, 1);
  const Content content = written(*store, bytes, CutOptions{});
  ASSERT_EQ(content.refs.size(), 1u);
  EXPECT_EQ(content.depth, 0);
  EXPECT_EQ(content.refs[0].id, content.sha256);
  EXPECT_EQ(content.sha256, sha256(bytes));
}

TEST(Content, ManyRefsGoIntoListChunks) {
  auto store = make_memory_store();
  const Bytes bytes = noise(64 << 10, 2);
  const Content content = written(*store, bytes);
  EXPECT_EQ(content.depth, 1);
  EXPECT_EQ(content.refs.size(), 1u);
  EXPECT_EQ(content.sha256, sha256(bytes));
  EXPECT_EQ(read_content(*store, content, 0, bytes.size(), bytes.size()).value(), bytes);
}

TEST(Content, UpTo96RefsNeedNoList) {
  auto store = make_memory_store();
  std::set<size_t> counts;
  for (size_t size = 10'000; size < 22'000; size += 50) {
    const Content content = written(*store, noise(size, 8));
    const size_t chunks = pieces(*store, content, 0, size)->size();
    EXPECT_EQ(content.depth, chunks <= kRefsMax ? 0 : 1) << chunks;
    EXPECT_EQ(content.refs.size(), chunks <= kRefsMax ? chunks : 1) << chunks;
    counts.insert(chunks);
  }
  EXPECT_TRUE(counts.contains(kRefsMax) && counts.contains(kRefsMax + 1));
}

TEST(Content, ManyListChunksReadBack) {
  auto store = make_memory_store();
  const CutOptions tiny{.min_bytes = 64, .average_bytes = 128, .max_bytes = 129};
  const Bytes bytes = noise(129 * (2 * kRefsPerListChunk + 10), 3);
  const Content content = written(*store, bytes, tiny);
  EXPECT_EQ(content.depth, 1);
  EXPECT_GE(content.refs.size(), 3u);
  const auto parts = pieces(*store, content, 1000, bytes.size() - 2000);
  ASSERT_TRUE(parts);
  Bytes middle;
  for (const Piece& piece : *parts) middle += store->get(piece.id).value()->substr(piece.offset, piece.length);
  EXPECT_TRUE(middle == bytes.substr(1000, bytes.size() - 2000));
}

TEST(Content, DeeperListsAreWalked) {
  auto store = make_memory_store();
  // Built by hand: depth 3 with two branches at each level.
  const Bytes data = noise(1000, 4);
  std::vector<Ref> refs;
  for (size_t i = 0; i < 8; ++i) refs.push_back({store->put(data.substr(i * 125, 125), Compress::Never).value(), 125});
  for (uint8_t depth = 0; depth < 3; ++depth) {
    std::vector<Ref> up;
    for (size_t i = 0; i < refs.size(); i += 2) {
      const auto pair = std::span(refs).subspan(i, refs.size() > 1 ? 2 : 1);
      uint64_t sum = 0;
      for (const Ref& ref : pair) sum += ref.bytes;
      up.push_back({store->put(encode_list(depth, pair), Compress::Never).value(), sum});
    }
    refs = up;
  }
  const Content content{.bytes = 1000, .sha256 = sha256(data), .inlined = {}, .depth = 3, .refs = refs};
  EXPECT_EQ(decoded(encoded(content)), content);
  for (size_t offset = 0; offset < 1000; offset += 61)
    EXPECT_EQ(read_content(*store, content, offset, 1000 - offset, 1000).value(), data.substr(offset));
  std::set<ChunkId> seen;
  ASSERT_TRUE(for_each_chunk(*store, content, [&](const ChunkId& id) { seen.insert(id); }));
  EXPECT_EQ(seen.size(), store->stats().chunks);
}

TEST(Content, EveryChunkWrittenIsVisited) {
  auto store = make_memory_store();
  const Content content = written(*store, noise(100'000, 5));
  std::set<ChunkId> seen;
  ASSERT_TRUE(for_each_chunk(*store, content, [&](const ChunkId& id) { seen.insert(id); }));
  const auto all = store->list({}, 100'000).value();
  EXPECT_EQ(seen, std::set<ChunkId>(all.begin(), all.end()));
}

TEST(Content, RangesOutsideAreInvalid) {
  auto store = make_memory_store();
  const Content content = written(*store, noise(1000, 6));
  EXPECT_EQ(pieces(*store, content, 1000, 1).error().code, Code::Invalid);
  EXPECT_EQ(pieces(*store, content, 5, ~uint64_t{0}).error().code, Code::Invalid);
  EXPECT_EQ(read_content(*store, content, 0, 500, 499).error().code, Code::Invalid);
  EXPECT_TRUE(pieces(*store, content, 1000, 0).value().empty());
}

TEST(Content, MissingAndWrongListChunksAreErrors) {
  auto store = make_memory_store();
  Content content = written(*store, noise(64 << 10, 7));
  ASSERT_EQ(content.depth, 1);
  Content wrong = content;
  wrong.refs[0].bytes += 1;
  wrong.bytes += 1;
  EXPECT_EQ(pieces(*store, wrong, 0, 10).error().code, Code::Corrupt);
  ASSERT_TRUE(store->erase(std::span(&content.refs[0].id, 1)));
  EXPECT_EQ(pieces(*store, content, 0, 10).error().code, Code::Corrupt);
}

TEST(Content, AnErrorFromTheStoreStaysTheAnswer) {
  auto store = make_memory_store();
  ContentWriter writer(*store, CutOptions{.min_bytes = 1});
  EXPECT_EQ(writer.write("x").error().code, Code::Invalid);
  EXPECT_EQ(writer.finish().error().code, Code::Invalid);
}

TEST(ContentCodec, RoundTripsEveryForm) {
  auto store = make_memory_store();
  for (const size_t size : {0, 5, 192, 193, 250, 3000, 60'000}) {
    const Content content = written(*store, noise(size, size));
    EXPECT_EQ(decoded(encoded(content)), content);
  }
}

TEST(ContentCodec, CutShortOrPoisonedInputIsRefused) {
  auto store = make_memory_store();
  for (const size_t size : {5, 250, 3000}) {
    const Bytes bytes = encoded(written(*store, noise(size, size)));
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decoded(bytes.substr(0, n))) << n;
    EXPECT_FALSE(decoded(bytes + "x"));
  }
}

TEST(ContentCodec, RefusesWhatBreaksALimit) {
  const ChunkId id(sha256("x"));
  auto refs = [&](size_t n, uint64_t each) { return std::vector<Ref>(n, Ref{id, each}); };
  EXPECT_TRUE(decoded(encoded({.bytes = 96 * 1000, .refs = refs(96, 1000)})));
  EXPECT_FALSE(decoded(encoded({.bytes = 97 * 1000, .refs = refs(97, 1000)}))) << "too many refs";
  EXPECT_FALSE(decoded(encoded({.bytes = 1999, .refs = refs(2, 1000)}))) << "sum too big";
  EXPECT_FALSE(decoded(encoded({.bytes = 2001, .refs = refs(2, 1000)}))) << "sum too small";
  EXPECT_FALSE(decoded(encoded({.bytes = 0, .refs = refs(2, 0)}))) << "empty ref";
  EXPECT_FALSE(decoded(encoded({.bytes = (4 << 20) + 1, .refs = refs(1, (4 << 20) + 1)}))) << "chunk too big";
  EXPECT_TRUE(decoded(encoded({.bytes = (4 << 20) + 1, .depth = 1, .refs = refs(1, (4 << 20) + 1)})));
  EXPECT_FALSE(decoded(encoded({.bytes = 5, .depth = 4, .refs = refs(1, 5)}))) << "too deep";
  EXPECT_FALSE(decoded(encoded({.bytes = 1, .refs = refs(2, ~uint64_t{0} / 2 + 1)}))) << "sum overflows";
  EXPECT_FALSE(decoded(encoded({.bytes = 193, .inlined = Bytes(193, 'x')}))) << "too long inline";
}

TEST(ListChunk, RefusesAnotherDepthCountOrSum) {
  const std::vector<Ref> refs{{ChunkId(sha256("a")), 10}, {ChunkId(sha256("b")), 20}};
  const Bytes list = encode_list(1, refs);
  EXPECT_EQ(decode_list(list, 1, 30).value(), refs);
  EXPECT_EQ(decode_list(list, 0, 30).error().code, Code::Corrupt);
  EXPECT_EQ(decode_list(list, 1, 31).error().code, Code::Corrupt);
  EXPECT_EQ(decode_list(list + "x", 1, 30).error().code, Code::Corrupt);
  EXPECT_EQ(decode_list("", 1, 0).error().code, Code::Corrupt);
  for (size_t n = 0; n < list.size(); ++n) EXPECT_FALSE(decode_list(list.substr(0, n), 1, 30));
}

// The encodings are a disk contract (docs/formats/content.md).
TEST(ContentCodec, EncodesAsItAlwaysDid) {
  auto store = make_memory_store();
  EXPECT_EQ(to_hex(encoded(written(*store, "hail"))), "00046861696c" + sha256("hail").hex());
  const Bytes big(200, 'h');
  EXPECT_EQ(to_hex(encoded(written(*store, big))), "01c80101" + sha256(big).hex() + "c801");
}

RC_GTEST_PROP(ContentWriter, AnySplitOfTheWritesGivesTheSameContent, (uint64_t seed)) {
  auto store = make_memory_store();
  std::mt19937_64 random(seed);
  const Bytes bytes = noise(random() % 20'000, seed);
  const Content whole = written(*store, bytes);
  ContentWriter writer(*store, kSmall);
  ByteView rest = bytes;
  while (!rest.empty()) {
    const ByteView part = rest.substr(0, random() % (std::min<size_t>(rest.size(), 1500) + 1));
    const bool held = random() % 2 == 0;
    const auto owner = std::make_shared<const Bytes>(part);
    RC_ASSERT((held ? writer.write(*owner, owner) : writer.write(*owner)).has_value());
    rest.remove_prefix(part.size());
  }
  RC_ASSERT(writer.finish().value() == whole);
  RC_ASSERT(whole.sha256 == sha256(bytes));
}

RC_GTEST_PROP(ContentReader, AnyRangeEqualsTheSlice, (uint64_t seed)) {
  auto store = make_memory_store();
  std::mt19937_64 random(seed);
  const size_t size = random() % 50'000;
  const Bytes bytes = noise(size, seed);
  const Content content = written(*store, bytes);
  for (int i = 0; i < 20; ++i) {
    const size_t offset = random() % (size + 1);
    const size_t length = random() % (size - offset + 1);
    RC_ASSERT(read_content(*store, content, offset, length, length).value() == bytes.substr(offset, length));
  }
}

RC_GTEST_PROP(ContentCodec, AFlippedBitNeverCrashesAndRoundTripsIfAccepted, (uint64_t seed)) {
  auto store = make_memory_store();
  Bytes bytes = encoded(written(*store, noise(seed % 5000, seed)));
  const size_t bit = std::mt19937_64(seed)() % (bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  if (auto content = decoded(bytes)) RC_ASSERT(encoded(*content) == bytes);
}

}  // namespace
}  // namespace hailstone::chunk
