#include "cell/path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hailstone::cell {
namespace {

Bytes nested(size_t depth) {
  Bytes path;
  for (size_t i = 0; i < depth; ++i) path += "/d";
  return path;
}

TEST(Path, WhatIsValid) {
  for (const Bytes& path :
       {Bytes("/"), Bytes("/a"), Bytes("/a/b"), Bytes("/.."), Bytes("/\xff"), nested(32), "/" + Bytes(255, 'x')})
    EXPECT_TRUE(validate_path(path)) << path;
  for (const Bytes& path : {Bytes(""), Bytes("a"), Bytes("//"), Bytes("/a/"), Bytes("/a//b"), Bytes("/a\0b", 4),
                            nested(33), "/" + Bytes(256, 'x')})
    EXPECT_EQ(validate_path(path).error().code, Code::Invalid) << path;
}

TEST(Path, ParentsAndPrefixesGoByWholeNames) {
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(join("/", "a"), "/a");
  EXPECT_EQ(join("/a", "b"), "/a/b");
  EXPECT_TRUE(covers("/", "/a") && covers("/a", "/a") && covers("/a", "/a/b"));
  EXPECT_FALSE(covers("/a", "/ab") || covers("/a/b", "/a"));
}

TEST(Path, KeysStandInTheTreesOrderAndComeBack) {
  const std::vector<Bytes> paths = {"/", "/a", "/a/b", "/a/b/c", "/a/\xff", "/a\x01", "/a-", "/ab", "/b"};
  std::vector<Bytes> keys;
  for (const Bytes& path : paths) {
    keys.push_back(path_key(path));
    EXPECT_EQ(path_of_key(keys.back()), path);
  }
  EXPECT_TRUE(std::ranges::is_sorted(keys));
}

TEST(Path, RangeHoldsWhatIsBeneathAndNothingElse) {
  const std::vector<Bytes> paths = {"/",   "/a",   "/a/b", "/a/b/c", "/a/" + Bytes(255, '\xff'), "/a\x01",
                                    "/ab", "/a-b", "/b",   "/\x01",  "/" + Bytes(255, '\xff')};
  for (const Bytes& directory : paths) {
    const auto [begin, end] = keys_beneath(directory);
    for (const Bytes& path : paths) {
      const Bytes key = path_key(path);
      EXPECT_EQ(begin <= key && key < end, covers(directory, path) && directory != path) << directory << " " << path;
    }
  }
}

}  // namespace
}  // namespace hailstone::cell
