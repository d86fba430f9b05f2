#include "depot/path.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace hailstone::depot {
namespace {

struct Row {
  std::string_view encoded;
  Path::Kind kind;
  std::string_view volume;
  Selector::Kind selector;
  std::string_view text;
  std::string_view key;
};

TEST(Path, Table) {
  using K = Path::Kind;
  using S = Selector::Kind;
  const Row rows[] = {
      {"/", K::Root, "", S::None, "", ""},
      {"/.", K::Root, "", S::None, "", ""},
      {"/repo", K::Volume, "repo", S::None, "", ""},
      {"/repo/", K::Key, "repo", S::None, "", ""},
      {"/repo/.", K::Key, "repo", S::None, "", ""},
      {"/repo/a/b", K::Key, "repo", S::None, "", "a/b"},
      {"/repo/a/", K::Key, "repo", S::None, "", "a/"},
      {"/repo/./Packages", K::Key, "repo", S::None, "", "Packages"},
      {"/./repo/a/./b/.", K::Key, "repo", S::None, "", "a/b/"},
      {"/repo/%2e/x", K::Key, "repo", S::None, "", "x"},
      {"/repo/.hidden", K::Key, "repo", S::None, "", ".hidden"},
      {"/repo/...", K::Key, "repo", S::None, "", "..."},
      {"/repo/a..b", K::Key, "repo", S::None, "", "a..b"},
      {"/repo//a", K::Key, "repo", S::None, "", "/a"},
      {"/repo/a//b//", K::Key, "repo", S::None, "", "a//b//"},
      {"/repo/a%2Fb", K::Key, "repo", S::None, "", "a/b"},
      {"/repo/a%20b+c", K::Key, "repo", S::None, "", "a b+c"},
      {"/repo/%ff", K::Key, "repo", S::None, "", "\xff"},
      {"/repo@stable/x", K::Key, "repo", S::Name, "stable", "x"},
      {"/repo%40stable/x", K::Key, "repo", S::Name, "stable", "x"},
      {"/repo@42", K::Volume, "repo", S::Number, "42", ""},
      {"/repo@42/x@y", K::Key, "repo", S::Number, "42", "x@y"},
      {"/repo@2026-11-22T10:00Z/x", K::Key, "repo", S::Time, "2026-11-22T10:00Z", "x"},
      {"/repo@2026-11-22T10%3A00Z/x", K::Key, "repo", S::Time, "2026-11-22T10:00Z", "x"},
      {"/repo@2026-11-22/", K::Key, "repo", S::Time, "2026-11-22", ""},
      {"/repo/-/search", K::Endpoint, "repo", S::None, "", "search"},
      {"/repo@7/-/metalink", K::Endpoint, "repo", S::Number, "7", "metalink"},
      {"/repo/-", K::Key, "repo", S::None, "", "-"},
      {"/repo/pkg/-/pkg.tgz", K::Key, "repo", S::None, "", "pkg/-/pkg.tgz"},
  };
  for (const Row& row : rows) {
    const auto path = parse_path(row.encoded);
    ASSERT_TRUE(path) << row.encoded << ": " << path.error().message;
    EXPECT_EQ(path->kind, row.kind) << row.encoded;
    EXPECT_EQ(path->volume, row.volume) << row.encoded;
    EXPECT_EQ(path->selector.kind, row.selector) << row.encoded;
    EXPECT_EQ(path->selector.text, row.text) << row.encoded;
    EXPECT_EQ(path->key, row.key) << row.encoded;
  }
}

TEST(Path, SelectorValues) {
  EXPECT_EQ(parse_path("/v@42/x")->selector.number, ReleaseNumber(42));
  EXPECT_EQ(format_iso8601(parse_path("/v@2026-11-22T10:00Z/x")->selector.time), "2026-11-22T10:00:00Z");
}

TEST(Path, Refused) {
  for (std::string_view encoded : {"",
                                   "*",
                                   "repo",
                                   "//x",
                                   "/@1/x",
                                   "/repo/..",
                                   "/repo/../x",
                                   "/repo/a/%2e%2E/b",
                                   "/repo/a/..%2fb",
                                   "/..",
                                   "/repo/%00",
                                   "/repo/%",
                                   "/repo/%4",
                                   "/repo/%zz",
                                   "/repo@/x",
                                   "/repo@0/x",
                                   "/repo@042/x",
                                   "/repo@99999999999999999999/x",
                                   "/repo@a@b/x",
                                   "/repo@_/x",
                                   "/repo@draft-7/x",
                                   "/repo@2026-13-01/x"}) {
    const auto path = parse_path(encoded);
    ASSERT_FALSE(path) << encoded;
    EXPECT_EQ(path.error().code, Code::Invalid) << encoded;
    EXPECT_FALSE(path.error().message.empty());
  }
}

TEST(Path, NoAcceptedKeyHasDotSegments) {
  for (std::string_view encoded : {"/v/a/./b", "/v/./.", "/v/a/.", "/v/././x/./"}) {
    const auto path = parse_path(encoded);
    ASSERT_TRUE(path);
    const Bytes slashed = "/" + path->key + "/";
    EXPECT_EQ(slashed.find("/./"), Bytes::npos) << encoded;
    EXPECT_EQ(slashed.find("/../"), Bytes::npos) << encoded;
  }
}

TEST(Path, BasesEncode) {
  EXPECT_EQ(encode_base("repo", Selector{}), "/repo");
  EXPECT_EQ(encode_base("repo", parse_path("/repo@stable/")->selector), "/repo@stable");
  EXPECT_EQ(encode_base("repo", ReleaseNumber(42)), "/repo@42");
  EXPECT_EQ(encode_base("r<\r\n>", ReleaseNumber(1)), "/r%3C%0D%0A%3E@1");
}

}  // namespace
}  // namespace hailstone::depot
