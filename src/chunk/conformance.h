// What every chunk back-end must do, as one parameterised suite: include in one test file of a program and instantiate.
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(Backend{"memory", make_rig}), backend_name);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "chunk/store.h"
#include "chunk/test_bytes.h"

namespace hailstone::chunk {

/// One store with all that it stands on.
class Rig {
 public:
  virtual ~Rig() = default;
  virtual ChunkStore& store() = 0;
  /// Closes and opens again what is durable; false where nothing is.
  virtual bool reopen() { return false; }
};

struct Backend {
  std::string name;
  std::function<std::unique_ptr<Rig>()> make;
};

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) { return info.param.name; }

class StoreConformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { rig_ = GetParam().make(); }
  ChunkStore& store() { return rig_->store(); }

  ChunkId put(ByteView bytes, Compress compress = Compress::Auto) {
    auto id = store().put(bytes, compress);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(ChunkId());
  }
  void expect_bytes(const ChunkId& id, ByteView want) {
    auto got = store().get(id);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(**got == want) << (*got)->size() << " bytes, wanted " << want.size();
  }
  bool has(const ChunkId& id) {
    auto got = store().has(std::span(&id, 1));
    EXPECT_TRUE(got && got->size() == 1);
    return got && got->at(0);
  }
  std::vector<ChunkId> list_all(size_t page) {
    std::vector<ChunkId> out;
    ChunkId after;
    for (;;) {
      auto got = store().list(after, page);
      EXPECT_TRUE(got) << got.error().message;
      if (!got || got->empty()) return out;
      EXPECT_LE(got->size(), page);
      out.insert(out.end(), got->begin(), got->end());
      after = out.back();
    }
  }

  std::unique_ptr<Rig> rig_;
};

TEST_P(StoreConformance, NamesBytesBySha256AndGivesThemBack) {
  for (const size_t size : {1, 2, 63, 64, 191, 1000, 4096, 65535, 65536, 65537, 1 << 20, 4 << 20}) {
    for (const Bytes& bytes : {noise(size, size), prose(size, size)}) {
      const ChunkId id = put(bytes);
      EXPECT_EQ(id, ChunkId(sha256(bytes)));
      expect_bytes(id, bytes);
      auto stat = store().stat(id);
      ASSERT_TRUE(stat) << stat.error().message;
      EXPECT_EQ(stat->bytes, size);
      EXPECT_LE(stat->stored_bytes, size);
    }
  }
}

TEST_P(StoreConformance, NeverCompressKeepsThePayloadPlain) {
  const ChunkId id = put(prose(100'000, 1), Compress::Never);
  const auto stat = store().stat(id);
  ASSERT_TRUE(stat);
  EXPECT_FALSE(stat->zstd);
  EXPECT_EQ(stat->stored_bytes, 100'000u);
}

TEST_P(StoreConformance, RefusesEmptyAndOversizedChunks) {
  EXPECT_EQ(store().put("", Compress::Never).error().code, Code::Invalid);
  EXPECT_EQ(store().put(Bytes(kChunkBytesMax + 1, 'x'), Compress::Auto).error().code, Code::Invalid);
  EXPECT_EQ(store().stats().chunks, 0u);
}

TEST_P(StoreConformance, AbsentChunksAreNotFound) {
  const ChunkId id(sha256("nowhere"));
  EXPECT_EQ(store().get(id).error().code, Code::NotFound);
  EXPECT_EQ(store().stat(id).error().code, Code::NotFound);
  EXPECT_EQ(store().extent(id, ChunkStore::Form::Plain, 0, 1).error().code, Code::NotFound);
  EXPECT_FALSE(has(id));
  EXPECT_TRUE(store().erase(std::span(&id, 1)));
}

TEST_P(StoreConformance, TheSameBytesAreStoredOnce) {
  const Bytes bytes = noise(5000, 1);
  const ChunkId first = put(bytes);
  const auto before = store().stats();
  EXPECT_EQ(put(bytes, Compress::Never), first);
  const auto after = store().stats();
  EXPECT_EQ(after.chunks, 1u);
  EXPECT_EQ(after.stored_bytes, before.stored_bytes);
}

TEST_P(StoreConformance, HasAndTouchAnswerInTheOrderAsked) {
  const ChunkId a = put("a"), b = put("b");
  const ChunkId none(sha256("none"));
  const std::vector<ChunkId> ids{none, b, none, a, b};
  const std::vector<bool> want{false, true, false, true, true};
  EXPECT_EQ(store().has(ids).value(), want);
  EXPECT_EQ(store().touch(ids).value(), want);
  EXPECT_TRUE(store().has({}).value().empty());
}

TEST_P(StoreConformance, ListsInByteOrderWithoutGapsOrRepeats) {
  EXPECT_TRUE(list_all(10).empty());
  std::vector<ChunkId> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(put("chunk " + std::to_string(i)));
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(list_all(1000), ids);
  EXPECT_EQ(list_all(7), ids);
  EXPECT_EQ(list_all(1), ids);
}

TEST_P(StoreConformance, ErasedChunksAreGoneAndCanComeBack) {
  const Bytes bytes = noise(3000, 7);
  const ChunkId id = put(bytes), other = put("other");
  ASSERT_TRUE(store().erase(std::span(&id, 1)));
  EXPECT_FALSE(has(id));
  EXPECT_EQ(store().get(id).error().code, Code::NotFound);
  EXPECT_EQ(list_all(10), std::vector{other});
  EXPECT_EQ(store().stats().chunks, 1u);
  EXPECT_EQ(store().stats().uncompressed_bytes, 5u);
  EXPECT_EQ(put(bytes), id);
  expect_bytes(id, bytes);
  EXPECT_EQ(store().stats().chunks, 2u);
}

TEST_P(StoreConformance, StatsCountWhatIsThere) {
  uint64_t bytes = 0;
  for (size_t i = 1; i <= 100; ++i) {
    put(noise(i * 100, i));
    bytes += i * 100;
  }
  const auto stats = store().stats();
  EXPECT_EQ(stats.chunks, 100u);
  EXPECT_EQ(stats.uncompressed_bytes, bytes);
  EXPECT_EQ(stats.stored_bytes, bytes);
  EXPECT_EQ(stats.quarantined, 0u);
}

TEST_P(StoreConformance, ExtentsNameTheBytesAskedForOrAreUnsupported) {
  const Bytes bytes = noise(300'000, 3);
  const ChunkId id = put(bytes, Compress::Never);
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, 300'000}, {0, 1}, {65'535, 2}, {299'999, 1}, {100'000, 0}}) {
    auto extent = store().extent(id, ChunkStore::Form::Plain, offset, length);
    if (!extent && extent.error().code == Code::Unsupported) GTEST_SKIP() << extent.error().message;
    ASSERT_TRUE(extent) << extent.error().message;
    ASSERT_EQ(extent->length, length);
    Bytes got(length, '\0');
    ASSERT_EQ(pread(extent->fd, got.data(), length, static_cast<off_t>(extent->offset)), static_cast<ssize_t>(length));
    EXPECT_TRUE(got == bytes.substr(offset, length));
  }
  EXPECT_EQ(store().extent(id, ChunkStore::Form::Plain, 299'999, 2).error().code, Code::Invalid);
  EXPECT_EQ(store().extent(id, ChunkStore::Form::Plain, ~uint64_t{0}, 2).error().code, Code::Invalid);
  EXPECT_EQ(store().extent(id, ChunkStore::Form::StoredFrame, 0, 0).error().code, Code::Unsupported);
}

TEST_P(StoreConformance, WhatWasSyncedIsThereAfterReopening) {
  std::vector<Bytes> all;
  for (size_t i = 0; i < 50; ++i) all.push_back(i % 2 ? noise(i * 3000 + 1, i) : prose(i * 3000 + 1, i));
  for (const Bytes& bytes : all) put(bytes);
  const ChunkId gone(sha256(all[10]));
  ASSERT_TRUE(store().erase(std::span(&gone, 1)));
  ASSERT_TRUE(store().sync());
  const auto before = store().stats();
  if (!rig_->reopen()) GTEST_SKIP() << "nothing durable";
  for (size_t i = 0; i < all.size(); ++i) {
    if (i != 10) expect_bytes(ChunkId(sha256(all[i])), all[i]);
  }
  EXPECT_FALSE(has(gone));
  const auto after = store().stats();
  EXPECT_EQ(after.chunks, before.chunks);
  EXPECT_EQ(after.stored_bytes, before.stored_bytes);
  EXPECT_EQ(after.uncompressed_bytes, before.uncompressed_bytes);
  EXPECT_EQ(list_all(100).size(), 49u);
}

TEST_P(StoreConformance, ManyThreadsPutGetEraseAndSync) {
  constexpr int kThreads = 4, kRounds = 150;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        // Half of the chunks are everybody's, half this thread's own; the own ones are erased again.
        const Bytes shared = prose(static_cast<size_t>(i * 37 + 1), static_cast<uint64_t>(i));
        const Bytes own = noise(static_cast<size_t>(i * 91 + 1), static_cast<uint64_t>(t * 1000 + i));
        const auto a = store().put(shared, Compress::Auto);
        const auto b = store().put(own, Compress::Auto);
        if (i % 20 == 0) EXPECT_TRUE(store().sync());
        ASSERT_TRUE(a && b);
        const auto got_a = store().get(*a), got_b = store().get(*b);
        ASSERT_TRUE(got_a && got_b);
        EXPECT_TRUE(**got_a == shared && **got_b == own);
        EXPECT_TRUE(store().erase(std::span(&*b, 1)));
        EXPECT_EQ(store().get(*b).error().code, Code::NotFound);
        if (i % 50 == 0) EXPECT_TRUE(store().list({}, 1000));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store().stats().chunks, static_cast<uint64_t>(kRounds));
}

}  // namespace hailstone::chunk
