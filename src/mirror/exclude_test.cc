#include "mirror/exclude.h"

#include <gtest/gtest.h>

namespace hailstone::mirror {
namespace {

TEST(Glob, MatchesAsInTheTable) {
  struct {
    const char* glob;
    const char* text;
    bool match;
  } table[] = {
      {"*.o", "a.o", true},
      {"*.o", "a.c", false},
      {"*.o", "d/a.o", false},
      {"**.o", "d/a.o", true},
      {"a/**/b", "a/b", true},
      {"a/**/b", "a/x/y/b", true},
      {"a/**/b", "ab", false},
      {"a/*/b", "a/x/y/b", false},
      {"?", "/", false},
      {"?", "x", true},
      {"[a-c]x", "bx", true},
      {"[!a-c]x", "bx", false},
      {"[]x]", "]", true},
      {"\\*", "*", true},
      {"\\*", "a", false},
      {"", "", true},
      {"*", "", true},
      {"**", "a/b/c", true},
      {"a*b*c", "aXbYbZc", true},
      {"a*b*c", "aXbYbZ", false},
      {"**/x*y", "p/q/xay", true},
      {"**/x*y", "p/q/xa/y", false},
      {"a/**", "a/b/c", true},

  };
  for (const auto& row : table) EXPECT_EQ(glob_match(row.glob, row.text), row.match) << row.glob << " " << row.text;
}

TEST(Excludes, AnchorsPatternsWithASlash) {
  const auto excludes = Excludes::parse({"*.tmp", "/build", "doc/*.pdf", "cache/"});
  ASSERT_TRUE(excludes);
  const auto other = Excludes::Is::Other;
  EXPECT_TRUE(excludes->match("deep/down/x.tmp", other));
  EXPECT_TRUE(excludes->match("build", other));
  EXPECT_FALSE(excludes->match("src/build", other));
  EXPECT_TRUE(excludes->match("doc/a.pdf", other));
  EXPECT_FALSE(excludes->match("x/doc/a.pdf", other));
  EXPECT_FALSE(excludes->match("cache", other));
  EXPECT_TRUE(excludes->match("x/cache", Excludes::Is::Directory));
  EXPECT_TRUE(excludes->match_any_level("x/cache/y/z", other));
  EXPECT_FALSE(excludes->match_any_level("x/cached/y/z", other));
}

TEST(Excludes, RefusesPatternsThatCanNotBeMeant) {
  for (const char* bad : {"", "/", "[abc", "x/[!"}) EXPECT_FALSE(Excludes::parse({bad})) << bad;
}

}  // namespace
}  // namespace hailstone::mirror
