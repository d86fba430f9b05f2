#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "chunk/local_store.h"
#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"

namespace hailstone::chunk {
namespace {

using Load = LocalStoreOptions::Load;

/// A store of many segments, opened behind its back again and again.
class LoadBehind : public testing::Test {
 protected:
  std::unique_ptr<LocalStore> open(Load load) {
    LocalStoreOptions options;
    options.directory = "/store";
    options.segment_bytes = 50'000;
    options.reserve_bytes = 0;
    options.load = load;
    auto store = LocalStore::open(disk_, options, logger_);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  /// Numbers name contents.
  static Bytes bytes(uint64_t n) { return noise(2'000, n); }
  static ChunkId id(uint64_t n) { return ChunkId(sha256(bytes(n))); }
  static void put(LocalStore& store, uint64_t n) { ASSERT_EQ(store.put(bytes(n), Compress::Never).value(), id(n)); }
  static void erase(LocalStore& store, uint64_t n) {
    const ChunkId gone = id(n);
    ASSERT_TRUE(store.erase(std::span(&gone, 1)));
  }
  static bool has(LocalStore& store, uint64_t n) {
    const ChunkId wanted = id(n);
    return store.has(std::span(&wanted, 1)).value()[0];
  }
  std::string newest(std::string_view suffix) {
    std::string last;
    for (const std::string& name : disk_.list("/store").value())
      if (name.ends_with(suffix)) last = std::max(last, name);
    return last;
  }
  /// 0 to 199 in this order, over eight segments.
  void fill() {
    auto store = open(Load::AtOpen);
    for (uint64_t n = 0; n < kChunks; ++n) put(*store, n);
    ASSERT_TRUE(store->sync());
  }
  static constexpr uint64_t kChunks = 200;

  disk::SimDisk disk_;
  NullLogger logger_;
};

TEST_F(LoadBehind, WhatIsFoundIsServedWithoutLookingFurther) {
  fill();
  auto store = open(Load::Behind);
  const uint64_t left = store->stats().segments_unloaded;
  ASSERT_GE(left, 7u);
  EXPECT_TRUE(store->get(id(kChunks - 1)));
  EXPECT_TRUE(has(*store, kChunks - 1));
  EXPECT_EQ(store->stats().segments_unloaded, left);
  // An older one: as far as needed.
  EXPECT_TRUE(store->get(id(kChunks / 2)));
  EXPECT_LT(store->stats().segments_unloaded, left);
  EXPECT_GT(store->stats().segments_unloaded, 0u);
}

TEST_F(LoadBehind, NothingIsSaidToBeAbsentBeforeAllIsKnown) {
  fill();
  for (const auto& ask : std::vector<std::function<void(LocalStore&)>>{
           [](auto& store) { EXPECT_EQ(store.get(id(1'000)).error().code, Code::NotFound); },
           [](auto& store) { EXPECT_EQ(store.stat(id(1'000)).error().code, Code::NotFound); },
           [](auto& store) { EXPECT_EQ(store.get_stored(id(1'000)).error().code, Code::NotFound); },
           [](auto& store) { EXPECT_FALSE(has(store, 1'000)); },
           [](auto& store) {
             const ChunkId none = id(1'000);
             EXPECT_FALSE(store.touch(std::span(&none, 1)).value()[0]);
           },
           [](auto& store) { put(store, 1'000); },
           [](auto& store) { erase(store, 1'000); },
           [](auto& store) { EXPECT_EQ(store.list({}, 1).value().size(), 1u); },
           [](auto& store) { EXPECT_TRUE(store.begin_collection()); },
           [](auto& store) { EXPECT_TRUE(store.compact({.dead_percent = 50, .pace = {}}, [] { return false; })); },
           [](auto& store) { EXPECT_GE(store.verify_all([] { return false; }).value(), kChunks); },
       }) {
    auto store = open(Load::Behind);
    ASSERT_GT(store->stats().segments_unloaded, 0u);
    ask(*store);
    EXPECT_EQ(store->stats().segments_unloaded, 0u);
    for (uint64_t n = 0; n < kChunks; ++n) EXPECT_TRUE(has(*store, n)) << n;
  }
}

TEST_F(LoadBehind, WhatIsThereIsNotPutASecondTime) {
  fill();
  for (uint64_t n = 0; n < kChunks; n += 7) {
    auto store = open(Load::Behind);
    const uint64_t before = disk_.operations();
    put(*store, n);
    EXPECT_EQ(disk_.operations(), before);
    EXPECT_EQ(store->list({}, 1'000).value().size(), kChunks);
  }
}

TEST_F(LoadBehind, WhatALaterSegmentErasedStaysErased) {
  fill();
  {
    auto store = open(Load::AtOpen);
    for (uint64_t n = 0; n < 20; ++n) erase(*store, n);
    for (uint64_t n = 1'000; n < 1'050; ++n) put(*store, n);
    put(*store, 3);
  }
  for (const uint64_t first : {5u, 199u, 3u}) {
    auto store = open(Load::Behind);
    EXPECT_EQ(has(*store, first), first != 5);
    for (uint64_t n = 0; n < 20; ++n) EXPECT_EQ(store->get(id(n)).has_value(), n == 3) << n;
    EXPECT_EQ(store->stats().chunks, kChunks - 20 + 50 + 1);
  }
}

// Erased and put again, in all orders and over many segments: as if it had been opened at once.
TEST_F(LoadBehind, EndsWithTheSameAsOpeningAtOnce) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    {
      auto store = open(Load::AtOpen);
      for (int i = 0; i < 300; ++i) {
        const uint64_t n = random() % 60;
        if (random() % 3) {
          put(*store, n);
        } else {
          erase(*store, n);
        }
      }
      ASSERT_TRUE(store->sync());
    }
    if (seed % 2) {  // not that of the active one: closing writes it anew
      const std::string active = newest(".idx");
      for (const std::string& name : disk_.list("/store").value())
        if (name.ends_with(".idx") && name != active && random() % 2) ASSERT_TRUE(disk_.remove("/store/" + name));
    }
    std::vector<ChunkId> names;
    ChunkStore::Stats stats;
    {
      auto store = open(Load::AtOpen);
      names = store->list({}, 1'000).value();
      stats = store->stats();
    }
    auto store = open(Load::Behind);
    for (int i = 0; i < 5; ++i) {
      const ChunkId any = id(random() % 60);
      EXPECT_EQ(store->get(any).has_value(), std::ranges::binary_search(names, any));
    }
    ASSERT_TRUE(store->load([] { return false; }));
    EXPECT_EQ(store->list({}, 1'000).value(), names);
    EXPECT_EQ(store->stats().chunks, stats.chunks);
    EXPECT_EQ(store->stats().stored_bytes, stats.stored_bytes);
    EXPECT_EQ(store->stats().disk_bytes, stats.disk_bytes);
    EXPECT_EQ(store->verify_all([] { return false; }).value(), names.size());
  }
}

// A damaged record that a put replaces has an older one of the same name behind it.
TEST_F(LoadBehind, AReplacedDamagedRecordBringsNoOlderOneBack) {
  fill();
  {
    auto store = open(Load::AtOpen);
    erase(*store, 0);
    for (uint64_t n = 1'000; n < 1'030; ++n) put(*store, n);
    put(*store, 0);
  }
  const std::string damaged = "/store/" + newest(".seg");
  ASSERT_TRUE(disk_.flip(damaged, disk_.file_size(damaged).value() - 100));
  auto store = open(Load::Behind);
  EXPECT_EQ(store->get(id(0)).error().code, Code::Corrupt);
  put(*store, 0);
  EXPECT_EQ(**store->get(id(0)), bytes(0));
  EXPECT_EQ(store->list({}, 1'000).value().size(), kChunks + 30);
  EXPECT_EQ(store->stats().chunks, kChunks + 30);
  erase(*store, 0);
  EXPECT_FALSE(has(*store, 0));
}

TEST_F(LoadBehind, CanBeStoppedAndGoesOn) {
  fill();
  auto store = open(Load::Behind);
  const uint64_t left = store->stats().segments_unloaded;
  int polled = 0;
  ASSERT_TRUE(store->load([&] { return ++polled > 2; }));
  EXPECT_EQ(store->stats().segments_unloaded, left - 2);
  ASSERT_TRUE(store->load([] { return false; }));
  EXPECT_EQ(store->stats().chunks, kChunks);
}

TEST_F(LoadBehind, AnErrorIsNotAbsence) {
  fill();
  auto store = open(Load::Behind);
  disk_.crash();
  const ChunkId oldest = id(0);
  EXPECT_EQ(store->get(oldest).error().code, Code::Io);
  EXPECT_EQ(store->has(std::span(&oldest, 1)).error().code, Code::Io);
  EXPECT_EQ(store->put(bytes(0), Compress::Never).error().code, Code::Io);
  EXPECT_EQ(store->load([] { return false; }).error().code, Code::Io);
  EXPECT_GT(store->stats().segments_unloaded, 0u);
}

TEST_F(LoadBehind, ClosedHalfLoadedLosesNothing) {
  fill();
  {
    auto store = open(Load::Behind);
    EXPECT_TRUE(store->get(id(kChunks - 1)));
  }
  EXPECT_EQ(open(Load::AtOpen)->stats().chunks, kChunks);
}

TEST_F(LoadBehind, ThreadsSeeEverythingWhileItIsLoaded) {
  fill();
  for (int round = 0; round < 20; ++round) {
    auto store = open(Load::Behind);
    std::vector<std::thread> threads;
    threads.emplace_back([&] { EXPECT_TRUE(store->load([] { return false; })); });
    for (uint64_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (uint64_t i = 0; i < kChunks; ++i) {
          const uint64_t n = (i * 37 + t * 50) % kChunks;
          if (t % 2) {
            put(*store, n);
          } else {
            EXPECT_EQ(**store->get(id(n)), bytes(n));
          }
        }
      });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(store->stats().chunks, kChunks);
    EXPECT_EQ(store->list({}, 1'000).value().size(), kChunks);
  }
}

}  // namespace
}  // namespace hailstone::chunk
