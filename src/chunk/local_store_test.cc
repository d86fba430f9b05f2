#include "chunk/local_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <thread>

#include "chunk/compression.h"
#include "chunk/segment_scan.h"
#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"

namespace hailstone::chunk {
namespace {

using testing::HasSubstr;

class LocalStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "chunk_XXXXXX";
    options_.directory = mkdtemp(pattern.data());
    options_.reserve_bytes = 0;
    store_ = open(*disk_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(options_.directory);
  }
  std::unique_ptr<LocalStore> open(disk::Disk& disk) {
    auto store = LocalStore::open(disk, options_, logger_);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  ChunkId put(ByteView bytes, Compress compress) { return store_->put(bytes, compress).value(); }
  static Bytes bytes_of(const Extent& extent) {
    Bytes out(extent.length, '\0');
    EXPECT_EQ(pread(extent.fd, out.data(), out.size(), static_cast<off_t>(extent.offset)),
              static_cast<ssize_t>(out.size()));
    return out;
  }
  std::string segment() const { return options_.directory + "/00000001.seg"; }

  std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  NullLogger logger_;
  LocalStoreOptions options_;
  std::unique_ptr<LocalStore> store_;
};

TEST_F(LocalStoreTest, OptionsAreChecked) {
  for (auto change : std::vector<std::function<void(LocalStoreOptions&)>>{
           [](auto& o) { o.directory.clear(); }, [](auto& o) { o.segment_bytes = 100; },
           [](auto& o) { o.segment_bytes = 5ull << 30; }, [](auto& o) { o.segment_chunks_max = 0; },
           [](auto& o) { o.open_files_max = 0; }}) {
    LocalStoreOptions bad = options_;
    change(bad);
    EXPECT_EQ(LocalStore::open(*disk_, bad, logger_).error().code, Code::Invalid);
  }
}

TEST_F(LocalStoreTest, IsHeldByOneAtATime) {
  const auto second = LocalStore::open(*disk_, options_, logger_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Unavailable);
  EXPECT_THAT(second.error().message, HasSubstr(options_.directory));
}

TEST_F(LocalStoreTest, CompressesWhatSavesAnEighth) {
  const ChunkId plain = put(noise(10'000, 1), Compress::Auto), packed = put(prose(10'000, 1), Compress::Auto);
  EXPECT_FALSE(store_->stat(plain)->zstd);
  EXPECT_TRUE(store_->stat(packed)->zstd);
  EXPECT_LT(store_->stat(packed)->stored_bytes, 1000u);
  EXPECT_EQ(store_->stats().uncompressed_bytes, 20'000u);
}

TEST_F(LocalStoreTest, AFrameIsHandedOutWholeAndPlainExtentsOfItAreNot) {
  const Bytes bytes = prose(500'000, 2);
  const ChunkId id = put(bytes, Compress::Auto);
  EXPECT_EQ(store_->extent(id, ChunkStore::Form::Plain, 0, 10).error().code, Code::Unsupported);
  const auto extent = store_->extent(id, ChunkStore::Form::StoredFrame, 0, 0);
  ASSERT_TRUE(extent) << extent.error().message;
  EXPECT_EQ(extent->length, store_->stat(id)->stored_bytes);
  Compressor compressor;
  EXPECT_EQ(compressor.decompress(bytes_of(*extent), bytes.size()).value(), bytes);
}

TEST_F(LocalStoreTest, LargePayloadsArePageAligned) {
  put("something small first", Compress::Never);
  const ChunkId id = put(noise(100'000, 3), Compress::Never);
  EXPECT_EQ(store_->extent(id, ChunkStore::Form::Plain, 0, 1)->offset % 4096, 0u);
}

TEST_F(LocalStoreTest, AnExtentOutlivesTheStore) {
  const Bytes bytes = noise(100'000, 4);
  auto extent = store_->extent(put(bytes, Compress::Never), ChunkStore::Form::Plain, 0, bytes.size());
  ASSERT_TRUE(extent);
  store_.reset();
  EXPECT_TRUE(bytes_of(*extent) == bytes);
}

TEST_F(LocalStoreTest, AnExtentChecksTheBlocksItTouches) {
  const Bytes bytes = noise(300'000, 5);
  const ChunkId id = put(bytes, Compress::Never);
  // Verified by name first: after that only the blocks asked for are read.
  const auto whole = store_->extent(id, ChunkStore::Form::Plain, 0, bytes.size());
  ASSERT_TRUE(whole);
  auto file = disk_->open(segment(), disk::OpenMode::Write).value();
  ASSERT_TRUE(file->write_at(whole->offset + 200'000, "X"));
  EXPECT_TRUE(store_->extent(id, ChunkStore::Form::Plain, 0, 190'000));
  const auto bad = store_->extent(id, ChunkStore::Form::Plain, 190'000, 20'000);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::Corrupt);
  EXPECT_THAT(bad.error().message, HasSubstr("segment 1: record at 64: payload crc "));
  EXPECT_FALSE(store_->has(std::span(&id, 1)).value()[0]);
}

TEST_F(LocalStoreTest, TheFirstExtentSinceOpeningChecksTheName) {
  const Bytes bytes = noise(300'000, 6);
  const ChunkId id = put(bytes, Compress::Never);
  const uint64_t at = store_->extent(id, ChunkStore::Form::Plain, 0, 1)->offset;
  store_.reset();
  ASSERT_TRUE(disk_->open(segment(), disk::OpenMode::Write).value()->write_at(at + 299'999, "X"));
  store_ = open(*disk_);
  EXPECT_EQ(store_->extent(id, ChunkStore::Form::Plain, 0, 10).error().code, Code::Corrupt);
}

TEST_F(LocalStoreTest, ScrubGoesThroughAllInPartsAndFindsDamage) {
  options_.segment_bytes = 40'000;
  store_.reset();
  store_ = open(*disk_);
  for (uint64_t i = 0; i < 100; ++i) put(noise(2000, i), Compress::Never);
  ASSERT_TRUE(store_->sync());
  ASSERT_TRUE(disk_->open(segment(), disk::OpenMode::Write).value()->write_at(3000, "X"));
  uint64_t records = 0, damaged = 0, parts = 0;
  for (Position at;;) {
    const auto part = store_->scrub(at, 10'000, [] { return false; });
    ASSERT_TRUE(part) << part.error().message;
    records += part->records;
    damaged += part->damaged;
    ++parts;
    if (part->next == Position()) break;
    EXPECT_GT(part->next, at);
    at = part->next;
    if (parts == 5) {
      store_.reset();
      store_ = open(*disk_);
    }
  }
  EXPECT_EQ(records, 100u);
  EXPECT_EQ(damaged, 1u);
  EXPECT_GT(parts, 10u);
  EXPECT_EQ(store_->quarantine().size(), 1u);
}

TEST_F(LocalStoreTest, ATruncatedFileIsCorruptNotASignal) {
  const Bytes bytes = noise(3 << 20, 7);
  const ChunkId id = put(bytes, Compress::Never);
  ASSERT_TRUE(store_->extent(id, ChunkStore::Form::Plain, 0, bytes.size()));
  ASSERT_EQ(truncate(segment().c_str(), 1 << 20), 0);
  const auto extent = store_->extent(id, ChunkStore::Form::Plain, 0, bytes.size());
  ASSERT_FALSE(extent);
  EXPECT_EQ(extent.error().code, Code::Corrupt);
  EXPECT_THAT(extent.error().message, HasSubstr("cut short"));
}

TEST_F(LocalStoreTest, FewDescriptorsServeManySegments) {
  store_.reset();
  options_.segment_bytes = 4096;
  options_.open_files_max = 3;
  store_ = open(*disk_);
  std::vector<Bytes> all;
  for (uint64_t i = 0; i < 40; ++i) {
    all.push_back(noise(5000, i));
    put(all.back(), Compress::Never);
  }
  for (int round = 0; round < 2; ++round)
    for (const Bytes& bytes : all) EXPECT_EQ(*store_->get(ChunkId(sha256(bytes))).value(), bytes);
  size_t open_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    open_files += std::filesystem::read_symlink(entry, error).string().starts_with(options_.directory + "/0");
  }
  EXPECT_LE(open_files, 4u);
}

TEST_F(LocalStoreTest, ReadsGoOnWhileSegmentsRoll) {
  store_.reset();
  options_.segment_bytes = 64u << 10;
  store_ = open(*disk_);
  std::atomic<bool> stop = false;
  std::atomic<size_t> known = 0;
  std::vector<Bytes> all;
  for (uint64_t i = 0; i < 400; ++i) all.push_back(noise(i % 10 == 0 ? 70'000 : 2000, i));
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t)
    readers.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      while (!stop) {
        const size_t n = known;
        if (n == 0) continue;
        const Bytes& want = all[random() % n];
        const auto got = store_->get(ChunkId(sha256(want)));
        ASSERT_TRUE(got) << got.error().message;
        ASSERT_TRUE(**got == want);
      }
    });
  for (const Bytes& bytes : all) {
    put(bytes, Compress::Never);
    ++known;
    if (known % 37 == 0) ASSERT_TRUE(store_->sync());
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

TEST_F(LocalStoreTest, ConcurrentPutsOfTheSameBytesStoreOnce) {
  constexpr int kThreads = 8;
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 30; ++i) {
        start.arrive_and_wait();
        ASSERT_TRUE(store_->put(noise(i % 3 == 0 ? 100'000 : 3000, i), Compress::Auto));
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store_->stats().chunks, 30u);
  ASSERT_TRUE(store_->sync());
  // 10 of 100,000 and 20 of 3,000 bytes, headers and alignment: no room for a second copy of anything.
  EXPECT_LT(std::filesystem::file_size(segment()), 1'120'000u);
}

/// Counts syncs, and can hold back syncs and large writes until told otherwise.
class SlowFile final : public disk::File {
 public:
  struct Gate {
    std::atomic<int> syncs = 0;
    std::atomic<int> waiting = 0;
    std::atomic<bool> open = true;
    std::atomic<int> large_waiting = 0;
    std::atomic<bool> large_open = true;
  };
  SlowFile(std::unique_ptr<File> file, Gate& gate) : file_(std::move(file)), gate_(gate) {}
  Result<size_t> read_at(uint64_t offset, std::span<char> out) const override { return file_->read_at(offset, out); }
  Result<void> write_at(uint64_t offset, ByteView data) override {
    if (data.size() >= 64u << 10) {
      ++gate_.large_waiting;
      gate_.large_open.wait(false);
      --gate_.large_waiting;
    }
    return file_->write_at(offset, data);
  }
  Result<void> sync() override {
    ++gate_.syncs;
    ++gate_.waiting;
    gate_.open.wait(false);
    --gate_.waiting;
    return file_->sync();
  }
  Result<void> truncate(uint64_t size) override { return file_->truncate(size); }
  Result<uint64_t> size() const override { return file_->size(); }

 private:
  std::unique_ptr<File> file_;
  Gate& gate_;
};

class SlowDisk final : public disk::Disk {
 public:
  Result<std::unique_ptr<disk::File>> open(const std::string& path, disk::OpenMode mode) override {
    TRY(auto file, disk_.open(path, mode));
    return std::make_unique<SlowFile>(std::move(file), gate);
  }
  Result<void> rename(const std::string& a, const std::string& b) override { return disk_.rename(a, b); }
  Result<void> remove(const std::string& path) override { return disk_.remove(path); }
  Result<void> make_directories(const std::string& path) override { return disk_.make_directories(path); }
  Result<void> remove_directory(const std::string& path) override { return disk_.remove_directory(path); }
  Result<std::vector<std::string>> list(const std::string& path) const override { return disk_.list(path); }
  Result<bool> exists(const std::string& path) const override { return disk_.exists(path); }
  Result<bool> is_directory(const std::string& path) const override { return disk_.is_directory(path); }
  Result<uint64_t> file_size(const std::string& path) const override { return disk_.file_size(path); }
  Result<void> sync_directory(const std::string& path) override { return disk_.sync_directory(path); }
  Result<uint64_t> free_bytes(const std::string& path) const override { return disk_.free_bytes(path); }
  Result<std::unique_ptr<disk::DirectoryLock>> lock(const std::string& path) override { return disk_.lock(path); }
  SlowFile::Gate gate;

 private:
  disk::SimDisk disk_;
};

TEST_F(LocalStoreTest, ReadsAndPutsGoOnDuringASyncAndThoseWhoWaitShareTheNext) {
  SlowDisk disk;
  auto store = open(disk);
  const Bytes first = noise(1000, 1);
  const ChunkId id = store->put(first, Compress::Never).value();
  disk.gate.open = false;
  std::thread leader([&] { EXPECT_TRUE(store->sync()); });
  while (disk.gate.waiting == 0) std::this_thread::yield();
  const int before = disk.gate.syncs;
  // The disk hangs; nothing below may wait for it.
  EXPECT_EQ(*store->get(id).value(), first);
  std::atomic<int> arrived = 0;
  std::vector<std::thread> followers;
  for (uint64_t i = 0; i < 6; ++i)
    followers.emplace_back([&, i] {
      EXPECT_TRUE(store->put(noise(1000, 100 + i), Compress::Never));
      ++arrived;
      EXPECT_TRUE(store->sync());
    });
  while (arrived < 6) std::this_thread::yield();
  disk.gate.open = true;
  disk.gate.open.notify_all();
  leader.join();
  for (auto& follower : followers) follower.join();
  EXPECT_EQ(disk.gate.syncs, before + 1) << "six callers, one sync";
}

TEST_F(LocalStoreTest, WhatIsBeingWrittenIsNeverCalledDurable) {
  SlowDisk disk;
  auto store = open(disk);
  ASSERT_TRUE(store->put("first", Compress::Never) && store->sync());
  disk.gate.large_open = false;
  const Bytes large = noise(100'000, 1);
  std::thread writer([&] { EXPECT_TRUE(store->put(large, Compress::Never)); });
  while (disk.gate.large_waiting == 0) std::this_thread::yield();
  // Small puts and syncs overtake the large one; what they write down must not vouch for its range.
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(store->put(noise(100, 10 + i), Compress::Never) && store->sync());
  EXPECT_FALSE(store->has(std::vector{ChunkId(sha256(large))}).value()[0]);
  disk.gate.large_open = true;
  disk.gate.large_open.notify_all();
  writer.join();
  ASSERT_TRUE(store->sync() && store->put("last", Compress::Never) && store->sync());
  const std::string path = options_.directory + "/00000001.seg";
  const auto file = disk.open(path, disk::OpenMode::Read).value();
  const auto scan = scan_segment(*file, 1, kSegmentHeaderBytes, file->size().value()).value();
  ASSERT_EQ(scan.records.size(), 6u);
  const uint64_t large_at = scan.records[1].offset;
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(scan.records[i].synced_to, large_at);
  EXPECT_EQ(scan.records[5].synced_to, scan.records[5].offset);
}

}  // namespace
}  // namespace hailstone::chunk
