#include "replica/pending.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

namespace hailstone::replica {
namespace {

class PendingTest : public testing::Test {
 protected:
  Result<void> write() {
    TRY_DO(database->write(pending.batch()));
    pending.clear();
    return {};
  }
  void add(Batch batch) { pending.add(std::move(batch)); }
  std::string get(ByteView key) { return pending.get(key).value().value_or("(none)"); }

  std::unique_ptr<Database> database = make_memory_database();
  Pending pending{*database, [this] { return write(); }, 4096};
};

Batch put(Bytes key, Bytes value) {
  Batch batch;
  batch.put(std::move(key), std::move(value));
  return batch;
}

TEST_F(PendingTest, OfAKeyThatIsWrittenAgainOnlyTheLastGoesToTheDatabase) {
  add(put("a", "1"));
  add(put("b", "1"));
  add(put("a", "2"));
  EXPECT_EQ(get("a"), "2");
  EXPECT_EQ(pending.batch().ops().size(), 2u);
}

TEST(ReadCache, IsBoundedWhereSmallValuesGrowLarge) {
  ReadCache cache(64 << 10);
  const auto key = [](int i) { return Bytes("key") + std::to_string(i); };
  const Bytes large(1000, 'x');
  for (int i = 0; i < 100; ++i) cache.put(ReadCache::Hashed(key(i)), "x");
  for (int i = 0; i < 100; ++i) cache.changed(ReadCache::Hashed(key(i)), &large);
  size_t bytes = 0;
  for (int i = 100; i-- > 0;)
    if (const auto* found = cache.find(ReadCache::Hashed(key(i)))) bytes += (*found)->size();
  EXPECT_LE(bytes, 64u << 10);
  EXPECT_GE(bytes, 20u << 10);
}

TEST_F(PendingTest, WhatOthersWroteIsSeenOnceItForgets) {
  EXPECT_EQ(get("a"), "(none)");
  ASSERT_TRUE(database->write(put("a", "theirs")));
  pending.forget();
  EXPECT_EQ(get("a"), "theirs");
}

RC_GTEST_FIXTURE_PROP(PendingTest, AgreesWithAMap, (const std::vector<std::tuple<uint8_t, uint8_t, uint8_t>>& steps)) {
  std::map<Bytes, Bytes> model;
  for (const auto& [what, which, size] : steps) {
    const Bytes key(1, static_cast<char>('a' + which % 20)), end(1, static_cast<char>('a' + which % 20 + 3));
    Batch batch;
    if (what % 16 == 0) {
      batch.erase_range(key, end);
      model.erase(model.lower_bound(key), model.lower_bound(end));
    } else if (what % 4 == 1) {
      batch.erase(key);
      model.erase(key);
    } else if (what % 4 == 2) {
      RC_ASSERT(write());
    } else {
      batch.put(key, Bytes(size, static_cast<char>(what)));  // some too long to be kept in memory
      model[key] = Bytes(size, static_cast<char>(what));
    }
    add(std::move(batch));
    for (char c = 'a'; c < 'a' + 23; ++c) {
      const auto found = model.find(Bytes(1, c));
      RC_ASSERT(pending.get(Bytes(1, c)).value() ==
                (found == model.end() ? std::nullopt : std::optional(found->second)));
    }
  }
  RC_ASSERT(write());
  auto at = database->iterate("a", "z");
  for (const auto& [key, value] : model) {
    RC_ASSERT(at->valid() && at->key() == key && at->value() == value);
    at->next();
  }
  RC_ASSERT(!at->valid());
}

}  // namespace
}  // namespace hailstone::replica
