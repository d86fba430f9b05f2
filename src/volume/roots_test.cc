#include "volume/roots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "volume/entry.h"
#include "volume/schema.h"
#include "volume/testing.h"

namespace hailstone::volume {
namespace {

struct Seen {
  std::set<ChunkId> ids;
  std::vector<RootRef> all;
};

Seen roots_of(const testing::TestCell& cell) {
  Seen out;
  const auto done = for_each_root(*cell.database, [&](const RootRef& ref) -> Result<void> {
    out.ids.insert(ref.root.id);
    out.all.push_back(ref);
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_TRUE(std::is_sorted(out.all.begin(), out.all.end()));
  EXPECT_EQ(std::adjacent_find(out.all.begin(), out.all.end()), out.all.end());
  return out;
}

// From the whole table, whatever layers say.
size_t edits_with_chunks(const testing::TestCell& cell) {
  size_t out = 0;
  for (auto rows = cell.database->iterate("E", schema::end_of("E")); rows->valid(); rows->next()) {
    const auto edit = schema::decode_edit(rows->value());
    if (!edit || edit->removed) continue;
    const auto entry = Entry::decode(edit->entry);
    EXPECT_TRUE(entry);
    EXPECT_TRUE(for_each_content(*entry, [&](const chunk::Content& content) -> Result<void> {
      out += content.refs.empty() ? 0 : 1;
      return {};
    }));
  }
  return out;
}

size_t unsealed_of(const testing::TestCell& cell) {
  size_t out = 0;
  EXPECT_TRUE(for_each_unsealed(*cell.database, [&](ByteView, const chunk::Content& content) -> Result<void> {
    EXPECT_FALSE(content.refs.empty());
    ++out;
    return {};
  }));
  EXPECT_EQ(out, edits_with_chunks(cell));
  return out;
}

TEST(Roots, NameHeadsReleasesDraftsAndFlips) {
  testing::TestCell cell;
  cell.create("repo", {.grace_seconds = 100});
  EXPECT_TRUE(roots_of(cell).all.empty());
  cell.put("repo", "a", Bytes(1000, 'a'));
  cell.put("repo", "small", "inline");
  EXPECT_EQ(unsealed_of(cell), 1u) << "inline content names no chunk";
  cell.release("repo");
  EXPECT_EQ(unsealed_of(cell), 0u);
  const auto seen = roots_of(cell);
  EXPECT_EQ(seen.ids.size(), 1u);
  EXPECT_EQ(seen.all.size(), 3u) << "layer, release and flip";
  std::vector<Bytes> told;
  for (const RootRef& ref : seen.all) told.push_back(describe_owner(*cell.database, ref.owner));
  EXPECT_THAT(told, ::testing::ElementsAre("channel 'current' of 'repo'", "head of 'repo'", "release 1 of 'repo'"));
}

TEST(Roots, UnsealedAreEditsOfFrozenAndActiveGenerations) {
  testing::TestCell cell;
  cell.create("repo", {});
  cell.create("other", {});
  cell.put("repo", "a", Bytes(1000, 'a'));
  cell.put("other", "b", Bytes(1000, 'b'));
  ASSERT_TRUE(cell.repository.submit(cell.caller, BeginSeal{"repo", kHeadLayer}));
  EXPECT_EQ(unsealed_of(cell), 2u);
  cell.put("repo", "a", Bytes(1000, 'c'));
  EXPECT_EQ(unsealed_of(cell), 3u);
  cell.release("repo");
  EXPECT_EQ(unsealed_of(cell), 1u);
}

TEST(Roots, AFlipGoesWhenItsGraceIsOver) {
  testing::TestCell cell;
  cell.create("repo", {.grace_seconds = 100});
  for (int i = 0; i < 3; ++i) {
    cell.put("repo", "a", Bytes(1000, static_cast<char>('a' + i)));
    cell.release("repo");
    cell.clock.advance_seconds(60);
  }
  const auto flips = [&] {
    size_t out = 0;
    for (const RootRef& ref : roots_of(cell).all) out += ref.owner[0] == 'F';
    return out;
  };
  EXPECT_EQ(flips(), 3u);
  cell.clock.advance_seconds(10);
  cell.put("repo", "b", "time passes with commands");
  EXPECT_EQ(flips(), 2u);
  cell.clock.advance_seconds(1000);
  cell.put("repo", "b", "again");
  EXPECT_EQ(flips(), 1u) << "the one in force has no end";
}

}  // namespace
}  // namespace hailstone::volume
