#include "depot/find.h"

#include <gtest/gtest.h>

#include "depot/test_cell.h"

namespace hailstone::depot {
namespace {

using K = Found::Kind;

class Find : public ::testing::Test {
 protected:
  Find() { cell_.create("repo"); }
  void put(Bytes key, ByteView bytes = "x") { cell_.put("repo", std::move(key), bytes); }
  void link(Bytes key, ByteView target) { cell_.link("repo", std::move(key), target); }
  void release() {
    cell_.release("repo");
    root_ = cell_.root("repo");
  }
  Found at(ByteView key) {
    auto found = find(cell_.store, root_, key);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *std::move(found) : Found{};
  }
  // The key found, or what was found instead of a file.
  Bytes to(ByteView key) {
    const Found found = at(key);
    switch (found.kind) {
      case K::Nothing: return "(nothing)";
      case K::File: return found.key;
      case K::Directory: return "(directory " + found.key + ")";
      case K::NeedsSlash: return "(slash)";
    }
    return {};
  }

  testing::Cell cell_;
  tree::Root root_;
};

TEST_F(Find, FilesDirectoriesAndNothing) {
  put("a");
  put("d/e/f");
  put("site/index.html", "<p>");
  put("d-x");
  release();
  EXPECT_EQ(to("a"), "a");
  EXPECT_EQ(to("a/"), "(nothing)");
  EXPECT_EQ(to("d"), "(slash)");
  EXPECT_EQ(to("d/"), "(directory d/)");
  EXPECT_EQ(to("d/e"), "(slash)");
  EXPECT_EQ(to("d/e/g"), "(nothing)");
  EXPECT_EQ(to("e"), "(nothing)");
  EXPECT_EQ(to("d/e/f/g"), "(nothing)");
  EXPECT_EQ(to("site/"), "site/index.html");
  EXPECT_EQ(to("site"), "(slash)");
  EXPECT_EQ(to(""), "(directory )");
}

TEST_F(Find, AnEmptyReleaseHasItsRootOnly) {
  root_ = {};
  EXPECT_EQ(to(""), "(directory )");
  EXPECT_EQ(to("x"), "(nothing)");
  EXPECT_EQ(to("x/"), "(nothing)");
}

TEST_F(Find, AnObjectWithASlashAtItsEnd) {
  put("folder/", "");
  put("full/", "content");
  put("full/below");
  release();
  EXPECT_EQ(to("folder/"), "(directory folder/)");
  EXPECT_EQ(to("full/"), "full/");
  EXPECT_EQ(to("full"), "(slash)");
}

TEST_F(Find, LinksToFilesAndDirectories) {
  put("pool/v2/file", "2");
  link("pool/latest", "v2");
  link("pool/file", "v2/file");
  link("top", "pool/latest/file");
  link("pool/up", "../pool/v2/../v2/./file");
  link("absolute", "/pool/v2/file");
  link("pool/v2/root", "../..");
  link("slashed", "pool/v2/");
  release();
  EXPECT_EQ(to("pool/latest"), "(slash)");
  EXPECT_EQ(to("pool/latest/"), "(directory pool/v2/)");
  EXPECT_EQ(to("pool/latest/file"), "pool/v2/file");
  EXPECT_EQ(to("pool/latest/none"), "(nothing)");
  EXPECT_EQ(to("pool/file"), "pool/v2/file");
  EXPECT_EQ(to("top"), "pool/v2/file");
  EXPECT_EQ(to("pool/up"), "pool/v2/file");
  EXPECT_EQ(to("absolute"), "pool/v2/file");
  EXPECT_EQ(to("pool/v2/root"), "(slash)");
  EXPECT_EQ(to("pool/v2/root/"), "(directory )");
  EXPECT_EQ(to("pool/v2/root/pool/latest/root/top"), "pool/v2/file");
  EXPECT_EQ(to("slashed"), "(slash)");
  EXPECT_EQ(to("slashed/file"), "pool/v2/file");
}

TEST_F(Find, LinksNeverLeadOut) {
  put("etc/passwd", "ours");
  link("out", "../etc/passwd");
  link("d/out", "../../etc/passwd");
  link("d/far", "../../../../etc/passwd");
  link("absolute", "/../etc/passwd");
  link("dangling", "nowhere");
  link("empty", "/");
  release();
  EXPECT_EQ(to("out"), "(nothing)");
  EXPECT_EQ(to("d/out"), "(nothing)");
  EXPECT_EQ(to("d/far"), "(nothing)");
  EXPECT_EQ(to("absolute"), "(nothing)");
  EXPECT_EQ(to("dangling"), "(nothing)");
  EXPECT_EQ(to("empty"), "(slash)");
}

TEST_F(Find, LoopsEnd) {
  put("x");
  link("a", "b");
  link("b", "a");
  link("self", "self");
  link("dir", ".");
  Bytes chain = "x";
  for (int i = 0; i < kLinksMax + 1; ++i) {
    const Bytes name = "chain" + std::to_string(i);
    link(name, chain);
    chain = name;
  }
  release();
  EXPECT_EQ(to("a"), "(nothing)");
  EXPECT_EQ(to("self"), "(nothing)");
  EXPECT_EQ(to("self/x"), "(nothing)");
  EXPECT_EQ(to("dir/dir/dir/x"), "x");
  EXPECT_EQ(to("dir/dir/dir/dir/dir/dir/dir/dir/dir/x"), "(nothing)");
  EXPECT_EQ(to("chain" + std::to_string(kLinksMax - 1)), "x") << "as many links as are allowed";
  EXPECT_EQ(to("chain" + std::to_string(kLinksMax)), "(nothing)") << "one too many";
}

TEST_F(Find, ALongLinkIsReadFromItsChunk) {
  const Bytes name(300, 'n');
  put(name, "long");
  link("l", name);
  release();
  EXPECT_EQ(to("l"), name);
}

TEST_F(Find, AnIndexMayBeALink) {
  put("real.html", "<p>");
  link("d/index.html", "../real.html");
  link("e/index.html", "nowhere");
  link("f/index.html", "../d");
  release();
  EXPECT_EQ(to("d/"), "real.html");
  EXPECT_EQ(to("e/"), "(directory e/)");
  EXPECT_EQ(to("f/"), "(directory f/)") << "a directory is no index";
}

TEST_F(Find, DevicesAreNotServed) {
  volume::Entry fifo;
  fifo.kind = volume::Kind::Fifo;
  cell_.put_entry("repo", "fifo", fifo);
  release();
  EXPECT_EQ(to("fifo"), "(nothing)");
}

TEST_F(Find, AMissingNodeIsDamageNotAbsence) {
  put("a");
  release();
  ASSERT_TRUE(cell_.chunks->erase(std::vector<ChunkId>{root_.id}));
  tree::CachedNodes cold(*cell_.chunks, {});
  const Store store{cold, *cell_.chunks};
  for (ByteView key : {"a", "b", "b/", "", "x/y"}) {
    if (key.empty()) continue;
    const auto found = find(store, root_, key);
    ASSERT_FALSE(found) << key;
    EXPECT_EQ(found.error().code, Code::Corrupt) << key;
  }
}

}  // namespace
}  // namespace hailstone::depot
