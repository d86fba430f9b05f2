#include "log/segment.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/codec.h"
#include "disk/disk.h"

namespace hailstone::log {
namespace {

Bytes payload_of(Slot first, const std::vector<Bytes>& bodies) {
  Bytes payload;
  for (const auto& body : bodies) {
    encode_record(payload, {RecordKind::Command, 0, first, body});
    first = first.next();
  }
  return payload;
}

struct Read {
  Result<Scan> scan;
  std::vector<Bytes> bodies;
};

Read read(ByteView image) {
  Read out{Scan{}, {}};
  out.scan = scan_segment(image, [&](const Record& record, uint64_t) -> Result<void> {
    out.bodies.emplace_back(record.body);
    return {};
  });
  return out;
}

/// Segment 3: batch 10 with slots 6 and 7, batch 11 with slot 8, then `spare_blocks` of zeros.
Bytes image_of_two_batches(size_t spare_blocks = 2) {
  Bytes image = encode_segment_header({3, 10, Slot(5)});
  image += encode_batch(3, 10, payload_of(Slot(6), {"six", "seven"}));
  image += encode_batch(3, 11, payload_of(Slot(8), {Bytes(700, 'e')}));
  image.append(spare_blocks * kBlockBytes, '\0');
  return image;
}
const std::vector<Bytes> kTwoBatches = {"six", "seven", Bytes(700, 'e')};

TEST(Segment, GoldenFileReadsAndWritesTheSame) {
  // testdata/segment_v1.bin was written by an independent encoder.
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/segment_v1.bin";
  auto disk = disk::make_real_disk();
  const auto golden = disk::read_file(*disk, path, 1 << 20);
  ASSERT_TRUE(golden) << golden.error().message;
  Bytes written = encode_segment_header({7, 20, Slot(99)});
  written += encode_batch(7, 20, payload_of(Slot(100), {"hello", ""}));
  written += encode_batch(7, 21, payload_of(Slot(102), {Bytes(600, 'x')}));
  written.append(kBlockBytes, '\0');
  EXPECT_EQ(*golden, written);
  const Read found = read(*golden);
  ASSERT_TRUE(found.scan) << found.scan.error().message;
  EXPECT_EQ(found.bodies, (std::vector<Bytes>{"hello", "", Bytes(600, 'x')}));
  EXPECT_EQ(found.scan->ending, Ending::Clean);
  EXPECT_EQ(found.scan->next_batch, 22u);
  EXPECT_EQ(found.scan->end_offset, 3 * kBlockBytes);
  EXPECT_EQ(found.scan->last_slot, Slot(102));
}

TEST(Segment, HeaderRoundTrips) {
  const SegmentHeader header{0x1122334455667788, 42, Slot(17)};
  const Bytes block = encode_segment_header(header);
  EXPECT_EQ(block.size(), kBlockBytes);
  EXPECT_EQ(*decode_segment_header(block), header);
}

TEST(Segment, HeadersThatAreNotOursAreRefused) {
  const Bytes block = encode_segment_header({1, 1, Slot(0)});
  for (size_t bytes = 0; bytes < 40; ++bytes) {
    EXPECT_EQ(decode_segment_header(ByteView(block).substr(0, bytes)).error().code, Code::Corrupt);
  }
  for (size_t bit = 0; bit < 40 * 8; ++bit) {
    Bytes flipped = block;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_segment_header(flipped)) << "bit " << bit;
  }
  Bytes later;
  Encoder encoder(later);
  encoder.raw("HSLOGSEG");
  encoder.u16(2);
  encoder.raw(Bytes(26, '\1'));
  encoder.u32(crc32c(later));
  EXPECT_EQ(decode_segment_header(later).error().code, Code::Unsupported);
}

TEST(Segment, BatchesFillWholeBlocksOfStampedSectors) {
  for (const size_t bytes : {1, 473, 474, 475, 983, 984, 985, 4043, 4044, 4045, 100000}) {
    const Bytes payload = payload_of(Slot(1), {Bytes(bytes, '\0')});
    const Bytes batch = encode_batch(1, 1, payload);
    EXPECT_EQ(batch.size(), batch_bytes(payload.size()));
    EXPECT_EQ(batch.size() % kBlockBytes, 0u);
    for (size_t at = 0; at < batch.size(); at += kSectorBytes) {
      EXPECT_NE(batch.substr(at + kSectorDataBytes, 2), Bytes(2, '\0'));
    }
    const Read found = read(encode_segment_header({1, 1, Slot(0)}) + batch);
    ASSERT_TRUE(found.scan);
    EXPECT_EQ(found.bodies, std::vector<Bytes>{Bytes(bytes, '\0')});
    EXPECT_EQ(found.scan->ending, Ending::Clean);
  }
}

TEST(Segment, AnyMissingSectorsOfTheLastBatchMakeItTornAndNeverPartlyThere) {
  const Bytes whole = image_of_two_batches();
  const size_t start = 2 * kBlockBytes;  // batch 11: 700 bytes of payload are in its sectors 0 and 1
  for (unsigned written = 0; written < 256; ++written) {
    Bytes image = whole;
    for (size_t sector = 0; sector < 8; ++sector) {
      if ((written >> sector & 1) == 0) image.replace(start + sector * kSectorBytes, kSectorBytes, kSectorBytes, '\0');
    }
    const Read found = read(image);
    ASSERT_TRUE(found.scan);
    if ((written & 3) == 3) {
      EXPECT_EQ(found.scan->ending, Ending::Clean) << written;
      EXPECT_EQ(found.bodies, kTwoBatches);
    } else {
      EXPECT_EQ(found.scan->ending, written == 0 ? Ending::Clean : Ending::Torn) << written;
      EXPECT_EQ(found.bodies, (std::vector<Bytes>{"six", "seven"}));
      EXPECT_EQ(found.scan->end_offset, start);
    }
  }
}

TEST(Segment, MissingSectorsBelowALaterBatchAreDamage) {
  Bytes image = image_of_two_batches();
  image.replace(kBlockBytes, kSectorBytes, kSectorBytes, '\0');
  const Read found = read(image);
  ASSERT_TRUE(found.scan);
  EXPECT_EQ(found.scan->ending, Ending::Damaged);
  EXPECT_NE(found.scan->reason.find("batch 10 at 4096"), std::string::npos) << found.scan->reason;
  EXPECT_EQ(found.scan->last_slot, Slot(5));
}

TEST(Segment, NoFlippedBitLosesARecordSilently) {
  const Bytes whole = image_of_two_batches(1);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes image = whole;
    image[bit / 8] = static_cast<char>(image[bit / 8] ^ (1 << (bit % 8)));
    const Read found = read(image);
    if (!found.scan || found.scan->ending == Ending::Damaged) continue;
    ASSERT_EQ(found.bodies, kTwoBatches) << "bit " << bit;
  }
}

TEST(Segment, PayloadThatLooksLikeALaterBatchIsNotOne) {
  // A torn batch 11 whose payload holds, block-aligned, the sectors of a batch 12.
  const Bytes fake = encode_batch(3, 12, payload_of(Slot(9), {"fake"}));
  Bytes body(2 * kBlockBytes, 'b');
  const Bytes probe = encode_batch(3, 11, payload_of(Slot(8), {body}));
  const size_t before = kRecordHeaderBytes + 36 /* batch header */;
  const size_t aligned = 8 * kSectorDataBytes - before;  // body offset that lands on the second block's first byte
  body.replace(aligned, kSectorDataBytes, fake.substr(0, kSectorDataBytes));
  Bytes torn = encode_batch(3, 11, payload_of(Slot(8), {body}));
  ASSERT_EQ(torn.size(), probe.size());
  ASSERT_EQ(torn.substr(kBlockBytes, kSectorDataBytes), fake.substr(0, kSectorDataBytes));
  torn.replace(0, kSectorBytes, kSectorBytes, '\0');
  const Bytes image =
      encode_segment_header({3, 10, Slot(5)}) + encode_batch(3, 10, payload_of(Slot(6), {"six", "seven"})) + torn;
  const Read found = read(image);
  ASSERT_TRUE(found.scan);
  EXPECT_EQ(found.scan->ending, Ending::Torn) << found.scan->reason;
}

TEST(Segment, AWholeBatchWithABadPayloadIsDamageEvenAtTheEnd) {
  Bytes image = image_of_two_batches();
  image[2 * kBlockBytes + 600] ^= 1;
  const Read found = read(image);
  ASSERT_TRUE(found.scan);
  EXPECT_EQ(found.scan->ending, Ending::Damaged);
  EXPECT_EQ(found.scan->last_slot, Slot(7));
}

TEST(Segment, RecordsOfLaterVersionsAreUnsupported) {
  Bytes payload;
  Encoder encoder(payload);
  encoder.u8(2);
  encoder.u32(0);
  encoder.u64(1);
  encoder.u32(0);
  EXPECT_EQ(read(encode_segment_header({1, 1, Slot(0)}) + encode_batch(1, 1, payload)).scan.error().code,
            Code::Unsupported);
  payload.clear();
  encode_record(payload, {RecordKind::Command, 1, Slot(1), ""});
  EXPECT_EQ(read(encode_segment_header({1, 1, Slot(0)}) + encode_batch(1, 1, payload)).scan.error().code,
            Code::Unsupported);
}

TEST(Segment, ImpossibleRecordsInAnIntactBatchAreCorrupt) {
  Bytes cut_short = payload_of(Slot(1), {"body"});
  cut_short.pop_back();
  for (const Bytes& payload : {cut_short, Bytes(), payload_of(Slot(2), {"slot 2 comes first"})}) {
    const Read found = read(encode_segment_header({1, 1, Slot(0)}) + encode_batch(1, 1, payload));
    ASSERT_FALSE(found.scan);
    EXPECT_EQ(found.scan.error().code, Code::Corrupt);
  }
}

}  // namespace
}  // namespace hailstone::log
