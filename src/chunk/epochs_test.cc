#include "chunk/epochs.h"

#include <gtest/gtest.h>

#include <random>

namespace hailstone::chunk {
namespace {

constexpr Position kOld{1, 100};
constexpr uint64_t kId = 7;

struct Store {
  Epochs epochs{Position{1, 200}, 3};
  uint64_t end = 200;  // where the next new chunk goes
  CollectionToken collect() {
    return epochs.begin_collection([&]() -> Result<Position> { return Position{1, end}; }).value();
  }
};

TEST(Epochs, WhatNobodyAskedForIsFree) {
  Store s;
  s.epochs.touched(kId);  // no session is open: whoever did this had committed, or never will
  const auto token = s.collect();
  EXPECT_EQ(token.sessions, 0u);
  EXPECT_FALSE(s.epochs.protects(token, kId, kOld));
}

TEST(Epochs, TouchedInAnOpenSessionStaysUntilACollectionAfterItsEnd) {
  Store s;
  auto session = s.epochs.begin_session();
  s.epochs.touched(kId);
  const auto first = s.collect();
  EXPECT_EQ(first.sessions, 1u);
  EXPECT_TRUE(s.epochs.protects(first, kId, kOld));
  session.reset();
  EXPECT_TRUE(s.epochs.protects(first, kId, kOld)) << "this collection looked at the state before the commit";
  const auto second = s.collect();
  EXPECT_FALSE(s.epochs.protects(second, kId, kOld));
}

TEST(Epochs, TouchedSinceTheTokenStays) {
  Store s;
  const auto token = s.collect();
  s.epochs.touched(kId);
  EXPECT_TRUE(s.epochs.protects(token, kId, kOld));
  EXPECT_FALSE(s.epochs.protects(token, kId + 1, kOld));
}

TEST(Epochs, ASessionProtectsAcrossManyCollections) {
  Store s;
  auto session = s.epochs.begin_session();
  s.epochs.touched(kId);
  for (int i = 0; i < 10; ++i) {
    const auto token = s.collect();
    auto other = s.epochs.begin_session();
    EXPECT_TRUE(s.epochs.protects(token, kId, kOld)) << i;
    s.epochs.end_collection(token);
  }
  session.reset();
  EXPECT_FALSE(s.epochs.protects(s.collect(), kId, kOld));
}

TEST(Epochs, NewChunksAreKnownByTheirPlace) {
  Store s;
  auto session = s.epochs.begin_session();
  const auto token = s.collect();
  EXPECT_TRUE(s.epochs.protects(token, kId, {1, 200}));
  EXPECT_TRUE(s.epochs.protects(token, kId, {2, 64}));
  EXPECT_FALSE(s.epochs.protects(token, kId, {1, 192}));
  session.reset();
  s.end = 300;
  const auto next = s.collect();
  EXPECT_FALSE(s.epochs.protects(next, kId, {1, 200}));
  EXPECT_TRUE(s.epochs.protects(next, kId, {1, 300}));
}

TEST(Epochs, AnEndedCollectionMayNotGoOn) {
  Store s;
  const auto first = s.collect();
  const auto second = s.collect();
  EXPECT_EQ(s.epochs.check(first).error().code, Code::Conflict);
  EXPECT_TRUE(s.epochs.protects(first, kId, kOld));
  EXPECT_TRUE(s.epochs.check(second));
  s.epochs.end_collection(first);
  EXPECT_TRUE(s.epochs.check(second));
  s.epochs.end_collection(second);
  EXPECT_EQ(s.epochs.check(second).error().code, Code::Conflict);
  EXPECT_EQ(s.epochs.check({}).error().code, Code::Conflict);
}

TEST(Epochs, TooManyTouchesStopCollectionUntilTheirSessionsEnd) {
  Store s;
  auto session = s.epochs.begin_session();
  for (uint64_t id = 0; id < 4; ++id) s.epochs.touched(id);
  const auto token = s.collect();
  EXPECT_EQ(s.epochs.check(token).error().code, Code::Unavailable);
  EXPECT_TRUE(s.epochs.protects(token, 99, kOld));
  session.reset();
  EXPECT_EQ(s.epochs.check(token).error().code, Code::Unavailable);
  const auto next = s.collect();
  EXPECT_TRUE(s.epochs.check(next));
  EXPECT_FALSE(s.epochs.protects(next, 1, kOld));
}

TEST(Epochs, ASessionMayOutliveItsStore) {
  std::unique_ptr<WriteSession> session;
  {
    Store s;
    session = s.epochs.begin_session();
  }
  session.reset();
}

// Against the definition: an id stays when it was touched at or after the begin of the oldest session that was open at
// the token, or after the token.
TEST(Epochs, AgreesWithAModel) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    Epochs epochs(Position{1, 0}, 1000);
    struct Open {
      std::unique_ptr<WriteSession> session;
      int began;
    };
    std::vector<Open> open;
    std::map<uint64_t, int> touched;  // last time
    std::vector<int> collections;     // their times: a session protects from the last one before it on
    std::optional<CollectionToken> token;
    int token_at = 0, floor_at = 0;
    for (int now = 1; now < 200; ++now) {
      switch (random() % 5) {
        case 0: open.push_back({epochs.begin_session(), now}); break;
        case 1:
          if (!open.empty()) open.erase(open.begin() + static_cast<ptrdiff_t>(random() % open.size()));
          break;
        case 2:
        case 3: {
          const uint64_t id = random() % 8;
          epochs.touched(id);
          touched[id] = now;
          break;
        }
        default:
          if (random() % 3 == 0) {
            token = epochs.begin_collection([]() -> Result<Position> { return Position{2, 0}; }).value();
            token_at = floor_at = now;
            for (const Open& o : open) floor_at = std::min(floor_at, o.began);
          }
      }
      if (!token) continue;
      for (uint64_t id = 0; id < 8; ++id) {
        const bool must = touched.contains(id) && touched[id] >= floor_at;
        if (must) {
          EXPECT_TRUE(epochs.protects(*token, id, {1, 0})) << "round " << round << " at " << now;
        }
        if (!touched.contains(id)) {
          EXPECT_FALSE(epochs.protects(*token, id, {0, 5}));
        }
      }
    }
    open.clear();
    const auto last = epochs.begin_collection([]() -> Result<Position> { return Position{2, 0}; }).value();
    for (uint64_t id = 0; id < 8; ++id) EXPECT_FALSE(epochs.protects(last, id, {1, 0}));
    (void)token_at;
  }
}

}  // namespace
}  // namespace hailstone::chunk
