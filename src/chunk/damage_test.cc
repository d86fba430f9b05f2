#include <gmock/gmock.h>

#include <set>

#include "chunk/quarantine.h"
#include "chunk/segment.h"
#include "chunk/sidecar.h"
#include "chunk/store_model.h"

namespace hailstone::chunk {
namespace {

using disk::SimDisk;
using testing::HasSubstr;

/// A closed store of several segments, to be damaged.
class Damaged {
 public:
  Damaged() {
    auto store = open();
    for (uint64_t i = 0; i < 60; ++i) {
      const size_t size = i % 13 == 7 ? 70'000 + i : (i * 211) % 3000 + 300;
      const Bytes bytes = i % 3 == 0 ? prose(size, i) : noise(size, i);
      const ChunkId id = store->put(bytes, Compress::Auto).value();
      chunks[id] = bytes;
      if (i % 11 == 10) {
        EXPECT_TRUE(store->erase(std::span(&id, 1)));
        chunks.erase(id);
        erased[id] = bytes;
      }
    }
    EXPECT_TRUE(store->sync());
    // Its header says that all before it is durable; without that and without a sidecar, damage in the last batch can't
    // be told from a write that was never synced.
    EXPECT_TRUE(store->put("last", Compress::Never));
    EXPECT_TRUE(store->sync());
  }

  std::unique_ptr<LocalStore> open() {
    LocalStoreOptions options;
    options.load = load;
    options.directory = "/store";
    options.segment_bytes = 100'000;
    options.reserve_bytes = 0;
    auto store = LocalStore::open(disk, options, log);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }

  void drop(std::string_view suffix) {
    for (const std::string& name : disk.list("/store").value())
      if (name.ends_with(suffix)) EXPECT_TRUE(disk.remove("/store/" + name));
  }
  std::vector<std::string> files(std::string_view suffix) {
    std::vector<std::string> out;
    for (const std::string& name : disk.list("/store").value())
      if (name.ends_with(suffix)) out.push_back("/store/" + name);
    return out;
  }
  void truncate(const std::string& path, uint64_t size) {
    auto file = disk.open(path, disk::OpenMode::Write).value();
    EXPECT_TRUE(file->truncate(size) && file->sync());
  }

  /// Reads everything; answers what is lost. Whatever is given out is right, whatever is lost is named.
  std::set<ChunkId> check(LocalStore& store) {
    std::set<ChunkId> lost;
    for (const auto& [id, bytes] : chunks) {
      const auto got = store.get(id);
      if (got) {
        EXPECT_TRUE(**got == bytes) << "wrong bytes";
        continue;
      }
      lost.insert(id);
      EXPECT_FALSE(store.has(std::span(&id, 1)).value()[0]);
      if (got.error().code == Code::Corrupt) {
        EXPECT_THAT(got.error().message, HasSubstr("segment "));
        EXPECT_THAT(got.error().message, HasSubstr(": record at "));
      } else {
        EXPECT_EQ(got.error().code, Code::NotFound) << got.error().message;
        EXPECT_FALSE(store.quarantine().empty()) << "lost without a word";
      }
    }
    for (const auto& [id, bytes] : erased)
      if (const auto got = store.get(id)) EXPECT_TRUE(**got == bytes);
    EXPECT_EQ(store.stats().quarantined, store.quarantine().size());
    return lost;
  }

  /// Puts what is lost again: all is well then, also after opening again.
  void heal(std::unique_ptr<LocalStore>& store) {
    for (const auto& [id, bytes] : chunks) ASSERT_EQ(store->put(bytes, Compress::Auto).value(), id);
    ASSERT_TRUE(store->put("last", Compress::Never));
    EXPECT_TRUE(check(*store).empty());
    ASSERT_TRUE(store->sync());
    store.reset();
    store = open();
    ASSERT_TRUE(store);
    EXPECT_TRUE(check(*store).empty());
    // Left are places without a name, and chunks whose erasure was lost with the record that held it.
    for (const Damage& damage : store->quarantine())
      EXPECT_TRUE(damage.id.is_zero() || erased.contains(damage.id)) << damage.where << ": " << damage.what;
  }

  LocalStoreOptions::Load load = LocalStoreOptions::Load::AtOpen;
  SimDisk disk;
  ErrorLog log;
  std::map<ChunkId, Bytes> chunks;
  std::map<ChunkId, Bytes> erased;
};

/// The first record of a segment that holds a chunk of the set, and where it begins.
std::pair<uint64_t, RecordHeader> first_record(SimDisk& disk, const std::string& path, uint32_t segment) {
  auto file = disk.open(path, disk::OpenMode::Read).value();
  Bytes head(kRecordHeaderBytesMax, '\0');
  EXPECT_TRUE(file->read_at(kSegmentHeaderBytes, head));
  RecordHeader header;
  EXPECT_TRUE(decode_record(head, segment, kSegmentHeaderBytes, header));
  return {kSegmentHeaderBytes, header};
}

TEST(LocalStoreDamage, SidecarsMayBeLostOrDamaged) {
  for (int round = 0; round < 3; ++round) {
    Damaged rig;
    const auto sidecars = rig.files(".idx");
    ASSERT_GT(sidecars.size(), 2u);
    if (round == 0) rig.drop(".idx");
    if (round == 1) ASSERT_TRUE(rig.disk.remove(sidecars[1]));
    if (round == 2)
      for (const std::string& path : sidecars) ASSERT_TRUE(rig.disk.flip(path, rig.disk.file_size(path).value() / 2));
    auto store = rig.open();
    EXPECT_TRUE(rig.check(*store).empty());
    for (const auto& [id, bytes] : rig.erased) EXPECT_EQ(store->get(id).error().code, Code::NotFound);
    EXPECT_EQ(store->stats().chunks, rig.chunks.size() + 1);
    EXPECT_THAT(rig.log.take(), testing::IsEmpty());
    store.reset();
    EXPECT_EQ(rig.files(".idx").size(), sidecars.size()) << "written anew";
  }
}

TEST(LocalStoreDamage, AnyFlippedBitIsNamedAndHeals) {
  uint64_t lost_in_all = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Damaged rig;
    if (seed / 6 % 2) rig.load = LocalStoreOptions::Load::Behind;
    std::mt19937_64 random(seed);
    const auto segments = rig.files(".seg");
    const std::string path = segments[random() % segments.size()];
    // Half of the flips in the first bytes, where headers are dense.
    const uint64_t size = rig.disk.file_size(path).value();
    const uint64_t at = random() % (seed % 2 ? size : 200);
    ASSERT_TRUE(rig.disk.flip(path, at, static_cast<uint8_t>(1u << random() % 8)));
    if (seed % 3 == 0) rig.drop(".idx");
    auto store = rig.open();
    ASSERT_TRUE(store);
    const auto lost = rig.check(*store);
    lost_in_all += lost.size();
    EXPECT_LE(lost.size(), 1u) << path << " at " << at;
    rig.heal(store);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(lost_in_all, 70u);
}

TEST(LocalStoreDamage, AnyWipedRangeIsNamedAndHeals) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Damaged rig;
    if (seed / 6 % 2) rig.load = LocalStoreOptions::Load::Behind;
    std::mt19937_64 random(seed);
    auto segments = rig.files(".seg");
    if (seed % 3 == 0) {
      rig.drop(".idx");
      segments.pop_back();  // wiping the last header of the newest takes away what says that all before it was durable
    }
    const std::string path = segments[random() % segments.size()];
    const uint64_t size = rig.disk.file_size(path).value();
    const uint64_t at = random() % size;
    const uint64_t count = std::min(size - at, random() % 20'000 + 1);
    ASSERT_TRUE(rig.disk.flip(path, at, 0x5a, count));
    auto store = rig.open();
    ASSERT_TRUE(store);
    EXPECT_LT(rig.check(*store).size(), rig.chunks.size() / 2);
    rig.heal(store);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LocalStoreDamage, AnyTruncatedSegmentIsNamedAndHeals) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Damaged rig;
    if (seed / 6 % 2) rig.load = LocalStoreOptions::Load::Behind;
    std::mt19937_64 random(seed);
    auto segments = rig.files(".seg");
    // Without a sidecar the end of the newest segment can't be told from one that was never synced.
    const bool drop = seed % 3 == 0;
    if (drop) {
      rig.drop(".idx");
      segments.pop_back();
    }
    const std::string path = segments[random() % segments.size()];
    rig.truncate(path, random() % rig.disk.file_size(path).value());
    auto store = rig.open();
    ASSERT_TRUE(store);
    for (const ChunkId& id : rig.check(*store))
      if (!drop) EXPECT_EQ(store->get(id).error().code, Code::Corrupt);
    if (!drop) EXPECT_FALSE(store->quarantine().empty());
    if (!drop) EXPECT_FALSE(rig.log.take().empty());
    rig.heal(store);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LocalStoreDamage, AMissingSegmentIsNamedAndOthersServe) {
  Damaged rig;
  ASSERT_TRUE(rig.disk.remove(rig.files(".seg")[1]));
  auto store = rig.open();
  const auto lost = rig.check(*store);
  EXPECT_GT(lost.size(), 0u);
  EXPECT_LT(lost.size(), rig.chunks.size() / 2);
  const auto got = store->get(*lost.begin());
  EXPECT_EQ(got.error().code, Code::Corrupt);
  EXPECT_THAT(got.error().message, HasSubstr("segment 2: record at "));
  EXPECT_THAT(got.error().message, HasSubstr("file is missing"));
  EXPECT_EQ(store->quarantine().size(), lost.size());
  rig.heal(store);
}

TEST(LocalStoreDamage, ASegmentThatVanishesWhileOpenIsCorruptNotGone) {
  Damaged rig;
  auto store = rig.open();
  // Descriptors that are open keep the file; with two at most, most are not.
  store.reset();
  LocalStoreOptions options;
  options.directory = "/store";
  options.open_files_max = 2;
  options.reserve_bytes = 0;
  store = LocalStore::open(rig.disk, options, rig.log).value();
  ASSERT_TRUE(rig.disk.remove(rig.files(".seg")[0]));
  const auto lost = rig.check(*store);
  EXPECT_FALSE(lost.empty());
  EXPECT_EQ(store->get(*lost.begin()).error().code, Code::Corrupt);
}

TEST(LocalStoreDamage, QuarantineNamesThePlaceAndSurvivesReopening) {
  Damaged rig;
  const std::string path = rig.files(".seg")[0];
  const auto [offset, header] = first_record(rig.disk, path, 1);
  ASSERT_TRUE(rig.disk.flip(path, offset + header.payload_at + 5));
  auto store = rig.open();
  EXPECT_TRUE(store->quarantine().empty());
  const auto got = store->get(header.id);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("segment 1: record at 64: payload crc "));
  EXPECT_EQ(store->get(header.id).error(), got.error()) << "said again";
  EXPECT_EQ(store->stat(header.id).error().code, Code::Corrupt);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(store->quarantine().size(), 1u);
    EXPECT_EQ(store->quarantine()[0].id, header.id);
    EXPECT_EQ(store->quarantine()[0].where, "segment 1: record at 64");
    EXPECT_FALSE(store->has(std::span(&header.id, 1)).value()[0]);
    EXPECT_EQ(store->stats().chunks, rig.chunks.size());
    EXPECT_THAT(store->list({}, 1000).value(), testing::Not(testing::Contains(header.id)));
    if (round == 1) rig.drop(".idx");
    store.reset();
    store = rig.open();
  }
  rig.heal(store);
  EXPECT_EQ(store->stats().chunks, rig.chunks.size() + 1);
}

TEST(LocalStoreDamage, AnErasedDamagedChunkIsForgotten) {
  Damaged rig;
  const std::string path = rig.files(".seg")[0];
  const auto [offset, header] = first_record(rig.disk, path, 1);
  ASSERT_TRUE(rig.disk.flip(path, offset + header.payload_at + 5));
  auto store = rig.open();
  ASSERT_FALSE(store->get(header.id));
  ASSERT_TRUE(store->erase(std::span(&header.id, 1)));
  EXPECT_EQ(store->get(header.id).error().code, Code::NotFound);
  EXPECT_TRUE(store->quarantine().empty());
  store.reset();
  store = rig.open();
  EXPECT_TRUE(store->quarantine().empty());
  EXPECT_EQ(store->get(header.id).error().code, Code::NotFound);
}

TEST(LocalStoreDamage, WholeBytesUnderAWrongNameAreCorrupt) {
  // A record that is sound in itself, but whose payload is not what its id names: only SHA-256 can tell.
  for (const Bytes& bytes : {noise(1000, 1), noise(100'000, 1), prose(1000, 1), prose(1'000'000, 1)}) {
    SimDisk disk;
    NullLogger logger;
    LocalStoreOptions options;
    options.directory = "/store";
    options.reserve_bytes = 0;
    const ChunkId id = LocalStore::open(disk, options, logger).value()->put(bytes, Compress::Auto).value();
    ASSERT_TRUE(disk.remove("/store/00000001.idx"));
    auto [offset, header] = first_record(disk, "/store/00000001.seg", 1);
    header.id = ChunkId(sha256("something else"));
    {
      auto file = disk.open("/store/00000001.seg", disk::OpenMode::Write).value();
      ASSERT_TRUE(file->write_at(offset, encode_record(header, 1, offset)) && file->sync());
    }
    auto store = LocalStore::open(disk, options, logger).value();
    const auto got = store->get(header.id);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message, HasSubstr("segment 1: record at 64: sha256 "));
    EXPECT_EQ(store->get(id).error().code, Code::NotFound);
  }
}

TEST(LocalStoreDamage, VerifyAllFindsEverythingOnce) {
  Damaged rig;
  std::set<std::string> places;
  for (const std::string& path : rig.files(".seg")) {
    const auto [offset, header] = first_record(rig.disk, path, *parse_segment_name(path.substr(7), ".seg"));
    if (!rig.chunks.contains(header.id)) continue;
    ASSERT_TRUE(rig.disk.flip(path, offset + header.payload_at + header.stored - 1));
    places.insert(record_place(*parse_segment_name(path.substr(7), ".seg"), offset));
  }
  auto store = rig.open();
  EXPECT_EQ(store->verify_all([] { return false; }).value(), rig.chunks.size() + 1);
  std::set<std::string> found;
  for (const Damage& damage : store->quarantine()) found.insert(damage.where);
  EXPECT_EQ(found, places);
  EXPECT_EQ(store->verify_all([] { return false; }).value(), rig.chunks.size() + 1 - places.size());
  int polls = 0;
  EXPECT_EQ(store->verify_all([&] { return ++polls > 3; }).value(), 3u);
}

TEST(LocalStoreDamage, AnEmbeddedRecordIsNoRecord) {
  // A chunk that holds a copy of a segment: when its own header is lost, the scan runs through its payload.
  Damaged rig;
  const Bytes inner = disk::read_file(rig.disk, rig.files(".seg")[0], 1 << 20).value();
  rig.drop(".seg");
  rig.drop(".idx");
  ChunkId outer;
  {
    auto store = rig.open();
    outer = store->put(inner, Compress::Never).value();
    ASSERT_TRUE(store->put("after", Compress::Never));
  }
  rig.drop(".idx");
  const std::string path = rig.files(".seg")[0];
  ASSERT_TRUE(rig.disk.flip(path, kSegmentHeaderBytes + 20));
  auto store = rig.open();
  EXPECT_EQ(store->stats().chunks, 1u) << "only the one behind it";
  EXPECT_EQ(store->quarantine().size(), 1u);
}

TEST(LocalStoreDamage, FilesOfALaterVersionAreRefusedNotMisread) {
  Damaged rig;
  const std::string path = rig.files(".seg")[1];
  auto file = rig.disk.open(path, disk::OpenMode::Write).value();
  Bytes header = SegmentHeader{.number = 2, .order = 2, .generation = 0}.encode();
  header[8] = 2;
  header.resize(kSegmentHeaderBytes - 4);
  const uint32_t crc = crc32c(header);
  for (int i = 0; i < 4; ++i) header.push_back(static_cast<char>(crc >> (8 * i)));
  ASSERT_TRUE(file->write_at(0, header) && file->sync());
  LocalStoreOptions options;
  options.directory = "/store";
  const auto store = LocalStore::open(rig.disk, options, rig.log);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::Unsupported);
  EXPECT_THAT(store.error().message, HasSubstr("00000002.seg: segment version 2"));
}

}  // namespace
}  // namespace hailstone::chunk
