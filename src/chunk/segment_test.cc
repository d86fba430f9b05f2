#include "chunk/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "chunk/local_store.h"
#include "chunk/segment_scan.h"
#include "chunk/sidecar.h"
#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"

namespace hailstone::chunk {
namespace {

Bytes golden(const std::string& name) {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata" / name, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  EXPECT_FALSE(out.str().empty()) << name;
  return out.str();
}

RecordHeader chunk_header(ByteView payload) {
  RecordHeader header;
  header.id = ChunkId(sha256(payload));
  header.bytes = header.stored = static_cast<uint32_t>(payload.size());
  sum_blocks(header, payload);
  header.payload_at = payload_position(64, header.stored, false);
  return header;
}

TEST(SegmentFormat, HeaderRoundTripsAndAnyFlippedBitIsSeen) {
  const SegmentHeader header{.number = 17, .order = 3, .generation = 2};
  const Bytes bytes = header.encode();
  ASSERT_EQ(bytes.size(), kSegmentHeaderBytes);
  EXPECT_EQ(SegmentHeader::decode(bytes).value(), header);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(SegmentHeader::decode(bad).error().code, Code::Corrupt) << bit;
  }
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(SegmentHeader::decode(bytes.substr(0, n)));
}

TEST(SegmentFormat, RecordHeaderIsBoundToItsBitsAndItsPlace) {
  const RecordHeader header = chunk_header(noise(100'000, 1));
  const Bytes bytes = encode_record(header, 5, 64);
  RecordHeader got;
  ASSERT_TRUE(decode_record(bytes, 5, 64, got));
  EXPECT_EQ(got.id, header.id);
  EXPECT_EQ(got.blocks, 2);
  EXPECT_FALSE(decode_record(bytes, 6, 64, got)) << "another segment";
  EXPECT_FALSE(decode_record(bytes, 5, 72, got)) << "another offset";
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(decode_record(bad, 5, 64, got)) << bit;
  }
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_record(bytes.substr(0, n), 5, 64, got));
}

TEST(SegmentFormat, ImpossibleHeadersAreRefusedThoughTheirCrcIsRight) {
  const Bytes payload = noise(1000, 1);
  RecordHeader got;
  auto refused = [&](auto change) {
    RecordHeader header = chunk_header(payload);
    change(header);
    return !decode_record(encode_record(header, 1, 64), 1, 64, got).has_value();
  };
  EXPECT_FALSE(refused([](RecordHeader&) {}));
  EXPECT_TRUE(refused([](RecordHeader& h) { h.bytes = 1001; }));
  EXPECT_TRUE(refused([](RecordHeader& h) { h.zstd = true; })) << "a frame no smaller than its content";
  EXPECT_TRUE(refused([](RecordHeader& h) { h.payload_at = 8; }));
  EXPECT_TRUE(refused([](RecordHeader& h) { h.kind = RecordKind::Erase; })) << "not a multiple of 32";
  EXPECT_TRUE(refused([](RecordHeader& h) { h.kind = static_cast<RecordKind>(9); }));
  EXPECT_TRUE(refused([](RecordHeader& h) {
    h.zstd = true;
    h.bytes = (4u << 20) + 1;
  }));
}

TEST(SegmentFormat, LargePayloadsStartOnAPage) {
  for (const uint64_t offset : {64, 4032, 4040, 8192})
    EXPECT_EQ((offset + payload_position(offset, 100'000, true)) % kPageBytes, 0u);
  EXPECT_EQ(payload_position(64, 1024, false), 64);
}

TEST(SegmentFormat, OnlyTheBlocksReadAreChecked) {
  Bytes payload = noise(200'000, 2);
  const RecordHeader header = chunk_header(payload);
  payload[70'000] ^= 1;
  EXPECT_TRUE(header.damage(payload, 0));
  EXPECT_FALSE(header.damage(ByteView(payload).substr(0, kBlockBytes), 0));
  EXPECT_TRUE(header.damage(ByteView(payload).substr(kBlockBytes, kBlockBytes), 1));
  EXPECT_FALSE(header.damage(ByteView(payload).substr(2 * kBlockBytes), 2));
}

TEST(SegmentFormat, NamesAreEightDigits) {
  EXPECT_EQ(segment_name(17), "00000017.seg");
  EXPECT_EQ(parse_segment_name("00000017.seg", ".seg"), 17u);
  for (const char* bad : {"17.seg", "00000017.idx", "0000001x.seg", "99999999.seg", "00000017.seg.tmp", "-0000017.seg"})
    EXPECT_FALSE(parse_segment_name(bad, ".seg")) << bad;
}

TEST(Sidecar, RoundTripsAndAnyFlippedBitIsSeen) {
  Sidecar sidecar{.segment = {.number = 3, .order = 3, .generation = 0}, .covered = 5000, .entries = {}};
  for (uint32_t i = 0; i < 20; ++i)
    sidecar.entries.push_back(
        {.id = ChunkId(sha256(std::to_string(i))), .offset8 = 8 + i * 20, .stored = 90, .bytes = 90, .span8 = 20});
  sidecar.entries = last_words(sidecar.entries);
  const Bytes bytes = sidecar.encode();
  EXPECT_EQ(Sidecar::decode(bytes).value(), sidecar);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(Sidecar::decode(bad)) << bit;
  }
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(Sidecar::decode(bytes.substr(0, n)));
  sidecar.covered = 1000;
  EXPECT_FALSE(Sidecar::decode(sidecar.encode())) << "entries beyond what it covers";
}

TEST(Sidecar, TheLastWordOnAnIdCounts) {
  const ChunkId a(sha256("a")), b(sha256("b"));
  const auto words =
      last_words({{.id = a, .offset8 = 8}, {.id = b, .offset8 = 20}, {.id = a}, {.id = b}, {.id = b, .offset8 = 40}});
  ASSERT_EQ(words.size(), 2u);
  EXPECT_TRUE(words[0].id < words[1].id);
  for (const SegmentEntry& word : words) EXPECT_EQ(word.offset8, word.id == a ? 0u : 40u);
}

// Written by an encoder of its own (docs/formats/segment.md): two chunks, the erasure of the first, a paged chunk.
TEST(SegmentFormat, ReadsTheGoldenSegmentWithAndWithoutSidecar) {
  Bytes big(70'000, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 256);
  Bytes stones;
  for (int i = 0; i < 20; ++i) stones += "stone";
  for (const bool sidecar : {true, false}) {
    disk::SimDisk disk;
    ASSERT_TRUE(disk.make_directories("/store"));
    ASSERT_TRUE(disk::write_file_atomic(disk, "/store/00000007.seg", golden("segment_v1.seg")));
    if (sidecar) ASSERT_TRUE(disk::write_file_atomic(disk, "/store/00000007.idx", golden("segment_v1.idx")));
    NullLogger logger;
    LocalStoreOptions options;
    options.directory = "/store";
    options.reserve_bytes = 0;
    auto store = LocalStore::open(disk, options, logger).value();
    EXPECT_EQ(store->stats().chunks, 2u);
    EXPECT_EQ(*store->get(ChunkId(sha256(big))).value(), big);
    EXPECT_EQ(*store->get(ChunkId(sha256(stones))).value(), stones);
    EXPECT_TRUE(store->quarantine().empty());
    store.reset();
    EXPECT_EQ(disk::read_file(disk, "/store/00000007.idx", 1 << 20).value(), golden("segment_v1.idx"));
  }
}

TEST(SegmentFormat, WritesTheGoldenSegment) {
  disk::SimDisk disk;
  NullLogger logger;
  LocalStoreOptions options;
  options.directory = "/store";
  options.reserve_bytes = 0;
  options.segment_bytes = 4096;
  Bytes hail, stones, big(70'000, '\0');
  for (int i = 0; i < 16; ++i) hail += "hail";
  for (int i = 0; i < 20; ++i) stones += "stone";
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 256);
  // An empty segment 7 to go on with.
  const Bytes want = golden("segment_v1.seg");
  ASSERT_TRUE(disk.make_directories("/store"));
  ASSERT_TRUE(disk::write_file_atomic(disk, "/store/00000007.seg", want.substr(0, kSegmentHeaderBytes)));
  auto store = LocalStore::open(disk, options, logger).value();
  const ChunkId id = store->put(hail, Compress::Never).value();
  ASSERT_TRUE(store->put(stones, Compress::Never));
  ASSERT_TRUE(store->sync());
  ASSERT_TRUE(store->erase(std::span(&id, 1)));
  ASSERT_TRUE(store->put(big, Compress::Never));
  ASSERT_TRUE(store->sync());
  EXPECT_TRUE(disk::read_file(disk, "/store/00000007.seg", 1 << 20).value() == want);
}

TEST(SegmentScan, FindsTheRecordsBehindAnyDamage) {
  const Bytes whole = golden("segment_v1.seg");
  disk::SimDisk disk;
  ASSERT_TRUE(disk.make_directories("/d"));
  for (size_t at = kSegmentHeaderBytes; at < 500; ++at) {
    Bytes bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    ASSERT_TRUE(disk::write_file_atomic(disk, "/d/f", bad));
    const auto file = disk.open("/d/f", disk::OpenMode::Read).value();
    const auto scan = scan_segment(*file, 7, kSegmentHeaderBytes, bad.size()).value();
    EXPECT_GE(scan.records.size(), 3u) << at;
    EXPECT_EQ(scan.records.size() + scan.bad.size(), 4u) << at;
    uint64_t covered = kSegmentHeaderBytes;
    for (const auto& record : scan.records) covered += record.span;
    for (const auto& zone : scan.bad) covered += zone.length;
    EXPECT_EQ(covered, bad.size()) << at;
  }
}

}  // namespace
}  // namespace hailstone::chunk
