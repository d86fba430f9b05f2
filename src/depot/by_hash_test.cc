#include "depot/by_hash.h"

#include <gtest/gtest.h>

#include "depot/test_cell.h"

namespace hailstone::depot {
namespace {

TEST(ByHashPath, Table) {
  const Bytes hex = sha256("x").hex();
  const auto deep = parse_by_hash("dists/main/by-hash/SHA256/" + hex);
  ASSERT_TRUE(deep);
  EXPECT_EQ(deep->directory, "dists/main/");
  EXPECT_EQ(deep->hash, sha256("x"));
  EXPECT_EQ(parse_by_hash("by-hash/SHA256/" + hex)->directory, "");
  EXPECT_FALSE(parse_by_hash("by-hash/SHA256/" + hex + "0"));
  EXPECT_FALSE(parse_by_hash("by-hash/SHA256/" + hex.substr(1)));
  EXPECT_FALSE(parse_by_hash("by-hash/SHA512/" + hex));
  EXPECT_FALSE(parse_by_hash("xby-hash/SHA256/" + hex));
  EXPECT_FALSE(parse_by_hash("by-hash/SHA256/" + Bytes(64, 'A')));
  EXPECT_FALSE(parse_by_hash("by-hash/SHA256/" + Bytes(64, 'g')));
  EXPECT_FALSE(parse_by_hash(hex));
}

class ByHash : public ::testing::Test {
 protected:
  ByHash() { cell_.create("repo"); }
  testing::Cell cell_;
};

TEST_F(ByHash, FindsFilesOfTheDirectoryOnly) {
  cell_.put("repo", "d/Packages", "one");
  cell_.put("repo", "d/deeper/Packages", "two");
  cell_.put("repo", "Packages", "three");
  cell_.release("repo");
  const auto at = [&](ByteView directory, ByteView content) {
    return find_by_hash(cell_.store, cell_.root("repo"), {Bytes(directory), sha256(content)})->key;
  };
  EXPECT_EQ(at("d/", "one"), "d/Packages");
  EXPECT_EQ(at("d/", "two"), "");
  EXPECT_EQ(at("d/", "three"), "");
  EXPECT_EQ(at("", "three"), "Packages");
  EXPECT_EQ(at("none/", "one"), "");
}

TEST_F(ByHash, IndexRemembersEachHashWithItsNewestFlip) {
  ByHashIndex index;
  for (int i = 1; i <= 5; ++i) {
    cell_.put("repo", "d/Packages", std::to_string(i));
    cell_.put("repo", "d/Constant", "constant");
    cell_.release("repo");
    if (i == 2) ASSERT_TRUE(index.extend(cell_.store, *cell_.flips("repo"), 0, "d/"));
  }
  cell_.flip("repo", ReleaseNumber(3));
  const auto flips = cell_.flips("repo");
  ASSERT_TRUE(index.extend(cell_.store, *flips, 0, "d/"));
  for (int i = 1; i <= 5; ++i) {
    const auto* where = index.find(sha256(std::to_string(i)));
    ASSERT_NE(where, nullptr) << i;
    EXPECT_EQ(where->key, "d/Packages");
    EXPECT_EQ(where->sequence, i == 3 ? 6u : static_cast<uint64_t>(i));
  }
  EXPECT_EQ(index.find(sha256("constant"))->sequence, 6u);
  EXPECT_EQ(index.find(sha256("made up")), nullptr);
  cell_.flip("repo", ReleaseNumber(5));
  ASSERT_TRUE(index.extend(cell_.store, *cell_.flips("repo"), 3, "d/"));
  EXPECT_EQ(index.find(sha256("2")), nullptr) << "what is out of reach is forgotten";
}

}  // namespace
}  // namespace hailstone::depot
