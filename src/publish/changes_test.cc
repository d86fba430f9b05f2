#include "publish/changes.h"

#include <gtest/gtest.h>

#include "chunk/store.h"
#include "tree/cache.h"

namespace hailstone::publish {
namespace {

class ChangesTest : public ::testing::Test {
 protected:
  tree::Root make(std::vector<tree::Edit> edits) { return *tree::apply(nodes_, {}, edits); }

  std::unique_ptr<chunk::ChunkStore> chunks_ = chunk::make_memory_store();
  tree::CachedNodes nodes_{*chunks_, {}};
};

TEST_F(ChangesTest, ListsEveryKindOfChangeInKeyOrder) {
  const auto from = make({{"a", "1", 10}, {"b", "1", 20}, {"d", "1", 40}});
  const auto to = make({{"b", "2", 25}, {"c\xff", "1", 30}, {"d", "1", 40}, {"e\"\n", "1", 50}});
  const auto changes = list_changes(nodes_, from, to, {});
  ASSERT_TRUE(changes.has_value());
  EXPECT_EQ(changes->json_lines,
            "{\"op\":\"removed\",\"key\":\"a\",\"size\":10}\n"
            "{\"op\":\"changed\",\"key\":\"b\",\"size\":25,\"was\":20}\n"
            "{\"op\":\"added\",\"key_base64\":\"Y/8=\",\"size\":30}\n"
            "{\"op\":\"added\",\"key\":\"e\\\"\\n\",\"size\":50}\n");
  EXPECT_EQ(changes->totals, (ChangeTotals{2, 1, 1, 105, 30}));
  EXPECT_FALSE(changes->more);
  EXPECT_TRUE(changes->counted);
}

TEST_F(ChangesTest, PagesMeetWithoutGapOrOverlap) {
  std::vector<tree::Edit> edits;
  for (int i = 100; i < 200; ++i) edits.push_back({"key" + std::to_string(i), "v", 1});
  const auto to = make(edits);
  Bytes all, after;
  size_t pages = 0;
  for (bool more = true; more; ++pages) {
    const auto page = list_changes(nodes_, {}, to, {.after = after, .lines_max = 7});
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->totals.added, 100u);
    all += page->json_lines;
    after = page->last_key;
    more = page->more;
  }
  EXPECT_EQ(pages, 15u);
  EXPECT_EQ(all, list_changes(nodes_, {}, to, {})->json_lines);
}

TEST_F(ChangesTest, SaysWhenItStoppedCounting) {
  const auto to = make({{"a", "1", 1}, {"b", "1", 1}, {"c", "1", 1}});
  const auto changes = list_changes(nodes_, {}, to, {.count_max = 2});
  EXPECT_FALSE(changes->counted);
  EXPECT_TRUE(changes->more);
  EXPECT_EQ(changes->totals.added, 2u);
  EXPECT_TRUE(list_changes(nodes_, {}, to, {.count_max = 3})->counted);
}

TEST_F(ChangesTest, EqualRootsHaveNoChanges) {
  const auto root = make({{"a", "1", 1}});
  EXPECT_EQ(list_changes(nodes_, root, root, {})->totals.keys(), 0u);
}

}  // namespace
}  // namespace hailstone::publish
