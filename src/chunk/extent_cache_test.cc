#include "chunk/extent_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "chunk/local_store.h"
#include "disk/disk.h"

namespace hailstone::chunk {
namespace {

Bytes noise(uint64_t seed, size_t size) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

Bytes bytes_of(const Extent& extent) {
  if (extent.memory) return Bytes(extent.memory, extent.length);
  Bytes out(extent.length, '\0');
  EXPECT_EQ(::pread(extent.fd, out.data(), out.size(), static_cast<off_t>(extent.offset)),
            static_cast<ssize_t>(out.size()));
  return out;
}

class ExtentCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "extent_cache." + std::to_string(::getpid());
    store_ = *LocalStore::open(*disk_, {.directory = directory_}, logger_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  ChunkId put(ByteView bytes) { return *store_->put(bytes, Compress::Never); }
  Bytes read(ExtentCache& cache, const ChunkId& id, uint64_t offset, uint64_t length) {
    const auto extent = cache.extent(id, ChunkStore::Form::Plain, offset, length);
    EXPECT_TRUE(extent) << extent.error().message;
    return extent ? bytes_of(*extent) : Bytes();
  }
  // Flips every byte of the segments behind the store's back.
  void ruin_segments() {
    for (const auto& file : std::filesystem::directory_iterator(directory_)) {
      if (file.path().extension() != ".seg") continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      Bytes all((std::istreambuf_iterator<char>(stream)), {});
      for (char& c : all) c = static_cast<char>(~c);
      stream.seekp(0);
      stream << all;
    }
  }

  std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  NullLogger logger_;
  std::string directory_;
  std::unique_ptr<LocalStore> store_;
};

TEST_F(ExtentCacheTest, SendsFromMemoryFromTheThirdTimeOn) {
  ExtentCache cache(*store_, {});
  const Bytes bytes = noise(1, 300'000);
  const ChunkId id = put(bytes);
  EXPECT_EQ(read(cache, id, 0, bytes.size()), bytes);
  EXPECT_EQ(cache.stats().chunks, 0u);
  EXPECT_EQ(read(cache, id, 17, 1000), bytes.substr(17, 1000));
  EXPECT_EQ(cache.stats().chunks, 1u);
  EXPECT_EQ(read(cache, id, 299'999, 1), bytes.substr(299'999));
  EXPECT_EQ(cache.stats().hits, 1u);
}

TEST_F(ExtentCacheTest, DamageIsNeverSent) {
  ExtentCache cache(*store_, {});
  const Bytes kept = noise(1, 300'000);
  const Bytes cold = noise(2, 300'000);
  const ChunkId kept_id = put(kept);
  const ChunkId cold_id = put(cold);
  ASSERT_TRUE(store_->sync());
  for (int i = 0; i < 3; ++i) read(cache, kept_id, 0, kept.size());
  read(cache, cold_id, 0, cold.size());
  ruin_segments();
  EXPECT_EQ(read(cache, kept_id, 0, kept.size()), kept);  // verified bytes are in memory
  for (int i = 0; i < 3; ++i) {
    const auto extent = cache.extent(cold_id, ChunkStore::Form::Plain, 0, cold.size());
    ASSERT_FALSE(extent);
    EXPECT_EQ(extent.error().code, Code::Corrupt);
  }
}

TEST_F(ExtentCacheTest, ARangeBeyondTheEndIsInvalidHotOrCold) {
  ExtentCache cache(*store_, {});
  const ChunkId id = put(noise(1, 100'000));
  for (int i = 0; i < 4; ++i) {
    const auto extent = cache.extent(id, ChunkStore::Form::Plain, 99'999, 2);
    ASSERT_FALSE(extent);
    EXPECT_EQ(extent.error().code, Code::Invalid) << extent.error().message;
    read(cache, id, 0, 1);
  }
}

TEST_F(ExtentCacheTest, StaysWithinItsMemoryAndKeepsWhatIsUsed) {
  ExtentCache cache(*store_, {.bytes_max = 16u << 20, .region_bytes = 4u << 20});
  const Bytes favourite = noise(1000, 200'000);
  const ChunkId favourite_id = put(favourite);
  for (int i = 0; i < 3; ++i) read(cache, favourite_id, 0, 1);
  for (uint64_t i = 0; i < 200; ++i) {
    const Bytes bytes = noise(i, 500'000);
    const ChunkId id = put(bytes);
    read(cache, id, 0, 10);
    EXPECT_EQ(read(cache, id, 0, bytes.size()), bytes);
    EXPECT_EQ(read(cache, favourite_id, 0, favourite.size()), favourite);
    EXPECT_LE(cache.stats().bytes, 16u << 20);
  }
  const uint64_t misses = cache.stats().misses;
  read(cache, favourite_id, 0, 1);
  EXPECT_EQ(cache.stats().misses, misses);
  EXPECT_LT(cache.stats().chunks, 40u);
}

TEST_F(ExtentCacheTest, AnExtentInHandOutlivesItsRegion) {
  ExtentCache cache(*store_, {.bytes_max = 4u << 20, .region_bytes = 4u << 20});
  const Bytes bytes = noise(7, 900'000);
  const ChunkId id = put(bytes);
  for (int i = 0; i < 2; ++i) read(cache, id, 0, 1);
  const auto extent = cache.extent(id, ChunkStore::Form::Plain, 0, bytes.size());
  ASSERT_TRUE(extent);
  for (uint64_t i = 0; i < 20; ++i) {
    const ChunkId other = put(noise(100 + i, 900'000));
    for (int n = 0; n < 3; ++n) read(cache, other, 0, 1);
  }
  EXPECT_EQ(bytes_of(*extent), bytes);
}

TEST_F(ExtentCacheTest, ManyThreads) {
  ExtentCache cache(*store_, {.bytes_max = 8u << 20, .region_bytes = 4u << 20});
  std::vector<std::pair<ChunkId, Bytes>> chunks;
  for (uint64_t i = 0; i < 60; ++i) {
    Bytes bytes = noise(i, 200'000 + i);
    const ChunkId id = put(bytes);
    chunks.emplace_back(id, std::move(bytes));
  }
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 500; ++i) {
        const auto& [id, bytes] = chunks[random() % chunks.size()];
        const uint64_t offset = random() % bytes.size();
        ASSERT_EQ(read(cache, id, offset, bytes.size() - offset), bytes.substr(offset));
      }
    });
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace hailstone::chunk
