// Grace, by-hash, pins and listings: what keeps stock clients whole while releases flip.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "depot/depot.h"
#include "depot/rig_for_tests.h"

namespace hailstone::depot {
namespace {

using testing::Got;
using ::testing::HasSubstr;
using testing::Headers;
using ::testing::Not;

class DepotOverlay : public ::testing::Test {
 protected:
  DepotOverlay() { rig_.cell.create("repo", {.grace_seconds = 1000}); }
  // Release i: an index that names its files, and files that only it has.
  void publish(int i) {
    if (i > 1) rig_.cell.remove("repo", "pool/file-" + std::to_string(i - 1));
    rig_.cell.put("repo", "pool/file-" + std::to_string(i), "content " + std::to_string(i));
    rig_.cell.put("repo", "index", "names file-" + std::to_string(i));
    rig_.cell.put("repo", "dists/Packages", "packages " + std::to_string(i));
    rig_.cell.release("repo");
    rig_.cell.clock.advance_seconds(10);
  }
  Bytes by_hash(ByteView content, ByteView directory = "dists/") {
    return "/repo/" + Bytes(directory) + "by-hash/SHA256/" + sha256(content).hex();
  }
  testing::Rig rig_;
};

TEST_F(DepotOverlay, WhatAnOldIndexNamesIsThereForTheGrace) {  // D6
  publish(1);
  for (int i = 2; i <= 6; ++i) publish(i);
  for (int round = 0; round < 2; ++round) {
    const Got got = rig_.get("/repo/pool/file-1");
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "content 1");
    EXPECT_EQ(got.header("X-Hailstone-Release"), "1");
    EXPECT_EQ(got.header("X-Hailstone-Channel-Release"), "6");
    EXPECT_EQ(got.header("Cache-Control"), "no-cache");
  }
  EXPECT_FALSE(rig_.get("/repo/index").has("X-Hailstone-Channel-Release"));
  rig_.cell.clock.advance_seconds(1000);
  for (int i = 1; i <= 5; ++i) {
    const Got got = rig_.get("/repo/pool/file-" + std::to_string(i));
    EXPECT_EQ(got.status, 410) << i;
    EXPECT_EQ(got.header("Cache-Control"), "no-store");
  }
  EXPECT_EQ(rig_.get("/repo/pool/file-6").status, 200) << "the current release never expires";
  EXPECT_EQ(rig_.get("/repo@1/pool/file-1").status, 200) << "nor does a pinned path";
  EXPECT_EQ(rig_.get("/repo/pool/file-0").status, 404) << "never was there";
}

TEST_F(DepotOverlay, GraceEndsForWhatIsHeldInMemoryToo) {
  publish(1);
  publish(2);
  EXPECT_EQ(rig_.get("/repo/pool/file-1").status, 200);
  rig_.cell.clock.advance_seconds(989);
  EXPECT_EQ(rig_.get("/repo/pool/file-1").status, 200);
  rig_.cell.clock.advance_seconds(2);
  EXPECT_EQ(rig_.get("/repo/pool/file-1").status, 410);
}

TEST_F(DepotOverlay, PinnedPathsAreExactlyTheirRelease) {
  publish(1);
  publish(2);
  EXPECT_EQ(rig_.get("/repo@2/pool/file-1").status, 404);
  EXPECT_EQ(rig_.get("/repo@1/pool/file-2").status, 404);
}

TEST_F(DepotOverlay, CanBeSwitchedOff) {
  publish(1);
  publish(2);
  EXPECT_EQ(rig_.get("/repo/pool/file-1").status, 200);
  rig_.cell.set("repo", {.overlay = false, .grace_seconds = 1000});
  EXPECT_EQ(rig_.get("/repo/pool/file-1").status, 410);
  EXPECT_EQ(rig_.get("/repo/index").body, "names file-2");
}

TEST_F(DepotOverlay, DirectoriesOfOldReleasesToo) {
  rig_.cell.put("repo", "old/index.html", "<p>old");
  publish(1);
  rig_.cell.remove("repo", "old/index.html");
  publish(2);
  EXPECT_EQ(rig_.get("/repo/old/").body, "<p>old");
  EXPECT_EQ(rig_.get("/repo/old").status, 301);
}

TEST_F(DepotOverlay, EveryIndexOfTheGraceIsThereByHash) {  // D7
  for (int i = 1; i <= 9; ++i) {
    publish(i);
    if (i % 4 == 0) EXPECT_EQ(rig_.get(by_hash("packages 1")).status, 200);
  }
  for (int i = 1; i <= 9; ++i) {
    const Bytes content = "packages " + std::to_string(i);
    const Got got = rig_.get(by_hash(content));
    EXPECT_EQ(got.status, 200) << i;
    EXPECT_EQ(got.body, content);
    EXPECT_EQ(got.header("X-Hailstone-Release"), std::to_string(i));
    EXPECT_EQ(got.header("Cache-Control"), "public, max-age=31536000, immutable") << "named by its hash";
  }
  EXPECT_EQ(rig_.get(by_hash("never")).status, 404);
  EXPECT_EQ(rig_.get(by_hash("packages 9", "")).status, 404) << "only beside the index";
  rig_.cell.clock.advance_seconds(1000);
  EXPECT_NE(rig_.get(by_hash("packages 1")).status, 200);
  EXPECT_EQ(rig_.get(by_hash("packages 9")).status, 200);
}

TEST_F(DepotOverlay, ByHashKeepsItsDateSoThatADownloadCanBeResumed) {
  rig_.cell.put("repo", "dists/Constant", "constant");
  publish(1);
  const Bytes date = rig_.get(by_hash("constant")).header("Last-Modified");
  EXPECT_NE(date, "");
  publish(2);
  publish(3);
  EXPECT_EQ(rig_.get(by_hash("constant")).header("Last-Modified"), date);
  EXPECT_EQ(rig_.get(by_hash("constant"), {{"Range", "bytes=3-"}, {"If-Range", date}}).status, 206);
}

TEST_F(DepotOverlay, ByHashOnPinnedPathsIsOfThatRelease) {
  publish(1);
  publish(2);
  const Bytes hex = sha256("packages 1").hex();
  EXPECT_EQ(rig_.get("/repo@1/dists/by-hash/SHA256/" + hex).body, "packages 1");
  EXPECT_EQ(rig_.get("/repo@2/dists/by-hash/SHA256/" + hex).status, 404);
}

TEST_F(DepotOverlay, APublishersOwnByHashFileIsServedAsItIs) {
  const Bytes hex = sha256("own").hex();
  rig_.cell.put("repo", "dists/by-hash/SHA256/" + hex, "own");
  rig_.cell.put("repo", "dists/by-hash/SHA256/" + sha256("x").hex(), "not what its name says");
  publish(1);
  EXPECT_EQ(rig_.get("/repo/dists/by-hash/SHA256/" + hex).body, "own");
  const Got liar = rig_.get(by_hash("x"));
  EXPECT_EQ(liar.body, "not what its name says");
  EXPECT_EQ(liar.header("Cache-Control"), "no-cache");
}

TEST_F(DepotOverlay, ARequestKeepsItsReleaseToTheLastByte) {
  // Two chunks: the second is read after a flip took place.
  Bytes big;
  for (uint64_t i = 0; big.size() < (9u << 20); ++i) big += std::to_string(i * 7919);
  rig_.cell.put("repo", "big", big);
  publish(1);
  const testing::ParsedHead parsed("GET", "/repo/big", {});
  testing::EmptyBody none;
  auto response = testing::run(rig_.depot->handle(http::Request{parsed.head, none, "p", false}));
  ASSERT_TRUE(std::holds_alternative<std::unique_ptr<http::BodySource>>(response.body));
  rig_.cell.put("repo", "big", Bytes(9u << 20, 'z'));
  publish(2);
  EXPECT_EQ(rig_.get("/repo/big").body, Bytes(9u << 20, 'z'));
  EXPECT_EQ(testing::collect(std::move(response)).body, big);
}

TEST_F(DepotOverlay, ADamagedChunkMidwayCutsTheConnection) {
  Bytes big;
  for (uint64_t i = 0; big.size() < (9u << 20); ++i) big += std::to_string(i * 7919);
  rig_.cell.put("repo", "big", big);
  publish(1);
  const auto found = find(rig_.cell.store, rig_.cell.root("repo"), "big");
  ASSERT_GT(found->entry.content.refs.size(), 2u);
  EXPECT_EQ(rig_.get("/repo/big").body, big);
  ASSERT_TRUE(rig_.cell.chunks->erase(std::vector<ChunkId>{found->entry.content.refs[1].id}));
  const Got got = rig_.get("/repo/big");
  EXPECT_EQ(got.status, 200) << "damage that shows only when the chunk is read";
  EXPECT_EQ(got.length, big.size());
  ASSERT_TRUE(got.cut);
  EXPECT_EQ(got.cut->code, Code::Corrupt);
  EXPECT_EQ(got.body, big.substr(0, got.body.size())) << "short, never wrong";
  rig_.restart();
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(rig_.get("/repo/big").status, 500) << "damage that the store knows of";
    const Got tail = rig_.get("/repo/big", {{"Range", "bytes=-10"}});
    EXPECT_EQ(tail.status, 206);
    EXPECT_EQ(tail.body, big.substr(big.size() - 10)) << "what is whole is still served";
  }
}

// -- cookie pin
// -----------------------------------------------------------------------------------------------------------

class DepotPin : public DepotOverlay {
 protected:
  DepotPin() { rig_.cell.set("repo", {.grace_seconds = 1000, .cookie_pin = true}); }
  Bytes cookie_of(const Got& got) {
    const Bytes value = got.header("Set-Cookie");
    return value.substr(0, value.find(';'));
  }
};

TEST_F(DepotPin, TheFirstAnswerPinsAndLaterOnesFollow) {  // D10
  publish(1);
  const Got first = rig_.get("/repo/index");
  EXPECT_EQ(cookie_of(first), "hailstone-pin=repo:1");
  EXPECT_THAT(first.header("Set-Cookie"), HasSubstr("Path=/repo/; Max-Age=900; HttpOnly; SameSite=Lax"));
  EXPECT_EQ(first.header("Cache-Control"), "private, no-cache") << "no cache may hand it to another reader";
  EXPECT_THAT(first.header("Vary"), HasSubstr("Cookie"));
  const Headers pinned = {{"Cookie", cookie_of(first)}};
  publish(2);
  const Got second = rig_.get("/repo/index", pinned);
  EXPECT_EQ(second.body, "names file-1");
  EXPECT_EQ(second.header("X-Hailstone-Release"), "1");
  EXPECT_FALSE(second.has("Set-Cookie"));
  EXPECT_EQ(rig_.get("/repo/index").body, "names file-2");
  EXPECT_EQ(rig_.get("/repo/pool/file-2", pinned).status, 200) << "what the pinned release lacks";
  rig_.cell.clock.advance_seconds(1000);
  const Got late = rig_.get("/repo/index", pinned);
  EXPECT_EQ(late.body, "names file-2");
  EXPECT_EQ(cookie_of(late), "hailstone-pin=repo:2");
}

TEST_F(DepotPin, ForgedPinsLeadNowhere) {
  publish(1);
  for (Bytes cookie : {"hailstone-pin=repo:99", "hailstone-pin=other:1", "hailstone-pin=repo:x", "x=y"}) {
    const Got got = rig_.get("/repo/index", {{"Cookie", cookie}});
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.header("X-Hailstone-Release"), "1");
    EXPECT_TRUE(got.has("Set-Cookie"));
  }
}

TEST_F(DepotPin, PinnedPathsAndOtherVolumesSetNoCookie) {
  publish(1);
  EXPECT_FALSE(rig_.get("/repo@1/index").has("Set-Cookie"));
  rig_.cell.create("plain");
  rig_.cell.put("plain", "x", "x");
  rig_.cell.release("plain");
  EXPECT_FALSE(rig_.get("/plain/x").has("Set-Cookie"));
}

// -- listings
// -------------------------------------------------------------------------------------------------------------

class DepotListing : public DepotOverlay {
 protected:
  DepotListing() {
    for (int i = 0; i < 25; ++i) rig_.cell.put("repo", "d/" + std::to_string(100 + i), "x");
    rig_.cell.put("repo", "d/sub/x", "x");
    rig_.cell.release("repo");
  }
  nlohmann::json json(Bytes target, const Headers& headers = {}) {
    const Got got = rig_.get(target, headers);
    EXPECT_EQ(got.status, 200) << target;
    EXPECT_EQ(got.header("Content-Type"), "application/json");
    return nlohmann::json::parse(got.body);
  }
};

TEST_F(DepotListing, HtmlOrJsonAsAsked) {
  const Got html = rig_.get("/repo/d/");
  EXPECT_EQ(html.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(html.header("Vary"), HasSubstr("Accept"));
  EXPECT_THAT(html.header("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(html.header("Cache-Control"), "no-cache");
  EXPECT_THAT(html.body, HasSubstr("<a href=\"/repo/d/100\">100</a>"));
  EXPECT_EQ(rig_.get("/repo/d/", {{"Accept", "*/*"}}).header("Content-Type"), "text/html; charset=utf-8");
  const auto listed = json("/repo/d/", {{"Accept", "application/json"}});
  EXPECT_EQ(listed["entries"].size(), 26u);
  EXPECT_EQ(listed["entries"][0]["name"], "sub/");
  EXPECT_EQ(json("/repo/d/?format=json"), listed);
  EXPECT_EQ(rig_.get("/repo/d/?format=xml").status, 400);
  EXPECT_EQ(rig_.get("/repo@1/d/").header("Cache-Control"), "public, max-age=31536000, immutable");
}

TEST_F(DepotListing, HasAStrongTagAndIsRevalidated) {
  const Got got = rig_.get("/repo/d/");
  EXPECT_TRUE(got.has("ETag"));
  EXPECT_FALSE(got.has("Last-Modified"));
  EXPECT_EQ(rig_.get("/repo/d/", {{"If-None-Match", got.header("ETag")}}).status, 304);
  EXPECT_EQ(rig_.get("/repo/d/?format=json", {{"If-None-Match", got.header("ETag")}}).status, 200);
}

TEST_F(DepotListing, PagesAreOfOneReleaseWhateverFlips) {  // D15
  std::multiset<Bytes> names;
  auto page = json("/repo/d/?format=json&limit=7");
  int pages = 0;
  for (;;) {
    EXPECT_EQ(page["release"], 1);
    for (const auto& entry : page["entries"]) names.insert(entry["name"].get<Bytes>());
    EXPECT_LE(page["entries"].size(), 7u);
    if (!page.contains("next")) break;
    rig_.cell.remove("repo", "d/" + std::to_string(124 - pages));
    rig_.cell.put("repo", "d/0-new-" + std::to_string(pages++), "x");
    rig_.cell.release("repo");
    page = json("/repo/d/?format=json&limit=7&page=" + percent_encode(page["next"].get<Bytes>()));
  }
  EXPECT_EQ(names.size(), 26u);
  EXPECT_EQ(names.count("sub/"), 1u);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(names.count(std::to_string(100 + i)), 1u) << i;
}

TEST_F(DepotListing, TokensExpireWithTheGraceAndAreChecked) {
  const Bytes token = percent_encode(json("/repo/d/?format=json&limit=7")["next"].get<Bytes>());
  rig_.cell.put("repo", "x", "x");
  rig_.cell.release("repo");
  EXPECT_EQ(rig_.get("/repo/d/?page=" + token).status, 200);
  EXPECT_EQ(rig_.get("/repo@2/d/?page=" + token).status, 410) << "another release's token";
  rig_.cell.clock.advance_seconds(1001);
  EXPECT_EQ(rig_.get("/repo/d/?page=" + token).status, 410);
  EXPECT_EQ(rig_.get("/repo/d/?page=junk!").status, 400);
  EXPECT_EQ(rig_.get("/repo/d/?limit=0").status, 400);
  EXPECT_EQ(rig_.get("/repo/d/?limit=x").status, 400);
}

TEST_F(DepotListing, HtmlPagesLinkOn) {
  const Got got = rig_.get("/repo/d/?limit=7");
  const size_t at = got.body.find("rel=\"next\" href=\"");
  ASSERT_NE(at, Bytes::npos);
  Bytes href = got.body.substr(at + 17);
  href = href.substr(0, href.find('"'));
  for (size_t amp; (amp = href.find("&amp;")) != Bytes::npos;) href.replace(amp, 5, "&");
  EXPECT_THAT(rig_.get(href).body, HasSubstr("<a href=\"/repo/d/107\">107</a>"));
  EXPECT_EQ(json("/repo/d/?format=json&start_after=123")["entries"].size(), 2u);
}

TEST_F(DepotListing, HostileNamesStayText) {
  rig_.cell.put("repo", "h/<img src=x onerror=alert(1)>", "x");
  rig_.cell.put("repo", "h/\xff\xfe", "x");
  rig_.cell.link("repo", "h/link", "<b>");
  rig_.cell.release("repo");
  const Got got = rig_.get("/repo/h/");
  EXPECT_THAT(got.body, Not(HasSubstr("<img")));
  EXPECT_THAT(got.body, Not(HasSubstr("<b>")));
  EXPECT_THAT(got.body, HasSubstr("href=\"/repo/h/%FF%FE\""));
  EXPECT_EQ(rig_.get("/repo/h/%FF%FE").status, 200);
  EXPECT_EQ(json("/repo/h/?format=json")["entries"].size(), 3u);
}

TEST_F(DepotListing, ALinkedDirectoryIsListedUnderItsOwnName) {
  rig_.cell.link("repo", "latest", "d");
  rig_.cell.release("repo");
  const Got got = rig_.get("/repo/latest/");
  EXPECT_THAT(got.body, HasSubstr("<a href=\"/repo/latest/100\">100</a>"));
  EXPECT_EQ(rig_.get("/repo/latest/100").status, 200);
}

TEST_F(DepotListing, ImportedDirectoryEntriesAreNotShownAsFiles) {
  volume::Entry directory;
  directory.kind = volume::Kind::Directory;
  rig_.cell.put_entry("repo", "d/", directory);
  rig_.cell.put_entry("repo", "./", directory);
  rig_.cell.put_entry("repo", "d/empty/", directory);
  rig_.cell.release("repo");
  EXPECT_EQ(json("/repo/d/?format=json")["entries"].size(), 27u);
  const auto root = json("/repo/?format=json");
  ASSERT_EQ(root["entries"].size(), 1u);
  EXPECT_EQ(root["entries"][0]["name"], "d/");
  EXPECT_EQ(json("/repo/d/empty/?format=json")["entries"].size(), 0u);
}

TEST_F(DepotListing, GzipWhereTaken) {
  const Got got = rig_.get("/repo/d/", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(got.header("Content-Encoding"), "gzip");
  EXPECT_THAT(got.header("Vary"), HasSubstr("Accept-Encoding"));
  EXPECT_TRUE(got.header("ETag").ends_with("-gzip\""));
}

TEST_F(DepotListing, TheRootListsVolumes) {
  const auto listed = json("/?format=json");
  ASSERT_EQ(listed["volumes"].size(), 1u);
  EXPECT_EQ(listed["volumes"][0]["name"], "repo");
  EXPECT_EQ(listed["volumes"][0]["release"], 1);
  EXPECT_THAT(rig_.get("/").body, HasSubstr("<a href=\"/repo/\">repo</a>"));
}

}  // namespace
}  // namespace hailstone::depot
