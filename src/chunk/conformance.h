// What every chunk back-end must do, as one parameterised suite: include in one test file of a program and instantiate.
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(Backend{"memory", make_rig}), backend_name);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
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
  // A back-end that would have to ask others for that may leave it to get().
  EXPECT_THAT(store().extent(id, ChunkStore::Form::Plain, 0, 1).error().code,
              testing::AnyOf(Code::NotFound, Code::Unsupported));
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

TEST_P(StoreConformance, ACollectionErasesWhatNobodyHolds) {
  const ChunkId a = put("a"), b = put("b"), none(sha256("none"));
  const auto token = store().begin_collection();
  ASSERT_TRUE(token) << token.error().message;
  const std::vector<ChunkId> ids{b, none};
  const std::vector<bool> gone{true, true};
  EXPECT_EQ(store().collect(*token, ids).value(), gone);
  EXPECT_FALSE(has(b));
  EXPECT_TRUE(has(a));
  store().end_collection(*token);
  EXPECT_EQ(store().collect(*token, std::vector{a}).error().code, Code::Conflict);
  EXPECT_TRUE(has(a));
}

TEST_P(StoreConformance, WhatASessionPutOrTouchedStaysUntilACollectionAfterItsEnd) {
  const ChunkId again = put("put again"), touched = put("touched"), idle = put("idle");
  store().end_collection(store().begin_collection().value());  // what is new since the last one stays as a whole
  auto session = store().begin_writes();
  const ChunkId fresh = put("fresh");
  put("put again");
  ASSERT_TRUE(store().touch(std::vector{touched}));
  const std::vector<ChunkId> ids{again, touched, idle, fresh};
  const std::vector<bool> only_idle{false, false, true, false}, the_rest{true, true, true, true};
  const auto first = store().begin_collection();
  EXPECT_EQ(first->sessions, 1u);
  EXPECT_EQ(store().collect(*first, ids).value(), only_idle);
  session.reset();
  EXPECT_EQ(store().collect(*first, ids).value(), only_idle) << "this collection began before the commit";
  const auto second = store().begin_collection();
  EXPECT_EQ(store().collect(*second, ids).value(), the_rest);
  EXPECT_EQ(store().stats().chunks, 0u);
}

TEST_P(StoreConformance, WhatIsPutOrTouchedDuringACollectionStays) {
  const ChunkId again = put("put again"), touched = put("touched"), idle = put("idle");
  const auto token = store().begin_collection();
  auto session = store().begin_writes();
  const ChunkId fresh = put("fresh");
  put("put again");
  ASSERT_TRUE(store().touch(std::vector{touched}));
  const std::vector<ChunkId> ids{again, touched, idle, fresh};
  EXPECT_EQ(store().collect(*token, ids).value(), (std::vector<bool>{false, false, true, false}));
  const ChunkId back = put("idle");
  EXPECT_EQ(store().collect(*token, std::vector{back}).value(), std::vector<bool>{false});
}

TEST_P(StoreConformance, AddedSinceTellsEachNewChunk) {
  std::set<ChunkId> all, told;
  Position at;
  const auto read = [&] {
    for (bool more = true; more;) {
      const auto added = store().added_since(at);
      ASSERT_TRUE(added) << added.error().message;
      told.insert(added->ids.begin(), added->ids.end());
      more = added->more;
      EXPECT_GE(added->next, at);
      at = added->next;
    }
  };
  read();
  for (int round = 0; round < 5; ++round) {
    told.clear();
    all.clear();
    for (int i = 0; i < 300; ++i) all.insert(put(noise(i % 50 == 7 ? 70'000 : 200, round * 1000 + i)));
    read();
    EXPECT_EQ(told, all);
    told.clear();
    put(noise(200, round * 1000));
    read();
    EXPECT_THAT(told, testing::IsEmpty()) << "it was there";
    if (round % 2 == 1) rig_->reopen();
  }
}

TEST_P(StoreConformance, AddedSinceMissesNothingThatManyThreadsPut) {
  std::vector<std::thread> threads;
  std::vector<std::set<ChunkId>> put_by(3);
  std::atomic<int> working = 3;
  for (size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const std::shared_ptr<void> done(nullptr, [&](void*) { --working; });
      for (size_t i = 0; i < 200; ++i) {
        const auto id = store().put(noise(i % 10 == 3 ? 70'000 : 300, t * 1000 + i), Compress::Never);
        ASSERT_TRUE(id);
        put_by[t].insert(*id);
      }
    });
  std::set<ChunkId> told;
  Position at;
  for (bool last = false; !last;) {
    last = working == 0;
    const auto added = store().added_since(at);
    ASSERT_TRUE(added) << added.error().message;
    told.insert(added->ids.begin(), added->ids.end());
    at = added->next;
    if (added->more) last = false;
  }
  for (auto& thread : threads) thread.join();
  std::set<ChunkId> all;
  for (const auto& ids : put_by) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(told, all);
}

// Each writer keeps a set of chunks as if it had committed them, under a session from put to commit; the collector
// takes whatever no commit names. Nothing committed may be lost, however the two interleave.
TEST_P(StoreConformance, NoCommittedChunkIsCollected) {
  std::mutex mutex;
  std::multiset<ChunkId> committed;
  std::atomic<int> working = 3;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const std::shared_ptr<void> done(nullptr, [&](void*) { --working; });  // also when an assertion ends it
      for (size_t i = 0; i < 400; ++i) {
        const Bytes bytes = "shared " + std::to_string((i * 7 + t) % 23);
        std::vector<ChunkId> ids;
        {
          const auto session = store().begin_writes();
          const auto id = store().put(bytes, Compress::Never);
          ASSERT_TRUE(id);
          ids.push_back(*id);
          std::this_thread::yield();
          std::lock_guard lock(mutex);
          committed.insert(*id);
        }
        ASSERT_TRUE(store().get(ids[0])) << "committed, and gone";
        std::lock_guard lock(mutex);
        committed.erase(committed.find(ids[0]));
      }
    });
  std::vector<ChunkId> all;
  for (int i = 0; i < 23; ++i) all.push_back(ChunkId(sha256("shared " + std::to_string(i))));
  while (working > 0) {
    const auto token = store().begin_collection();
    ASSERT_TRUE(token);
    std::vector<ChunkId> garbage;
    {
      std::lock_guard lock(mutex);
      for (const ChunkId& id : all)
        if (!committed.contains(id)) garbage.push_back(id);
    }
    ASSERT_TRUE(store().collect(*token, garbage));
    store().end_collection(*token);
  }
  for (auto& thread : threads) thread.join();
  const auto token = store().begin_collection();
  ASSERT_TRUE(store().collect(*token, all));
  EXPECT_EQ(store().stats().chunks, 0u);
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
