#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "depot/depot.h"
#include "depot/rig_for_tests.h"
#include "publish/derived.h"

namespace hailstone::depot {
namespace {

using testing::Got;
using ::testing::HasSubstr;

class DepotEndpoints : public ::testing::Test {
 protected:
  DepotEndpoints() {
    rig_.cell.create("repo");
    publish({"repodata/repomd.xml", "pool/hello_1.0_amd64.deb"});
  }
  // With derived data, as the publisher makes it.
  void publish(const std::vector<Bytes>& keys) {
    auto& cell = rig_.cell;
    for (const Bytes& key : keys) cell.put("repo", key, "bytes of " + key);
    const auto v = *cell.repository.volume("repo");
    const auto sealed = cell.repository.seal(*v, volume::kHeadLayer);
    ASSERT_TRUE(sealed);
    volume::ReleaseRecord record;
    record.volume = v->record.id;
    record.volume_name = "repo";
    record.number = v->record.last_release.next();
    record.root = sealed->root;
    record.time = cell.clock.wall();
    record.message = "message <1>";
    record.author = "me";
    record.key_id = "key";
    record.signature = "signature";
    const auto derived = publish::derive(cell.nodes, *cell.chunks, {*v, base_.root, base_.derived, record, {}, 10'000});
    ASSERT_TRUE(derived) << derived.error().message;
    record.derived = *derived;
    base_ = record;
    volume::Commit commit;
    commit.releases.push_back({"repo", record, {}, 0, {}, {}});
    commit.flips.push_back({"repo", "current", record.number, {}});
    ASSERT_TRUE(cell.repository.submit(cell.caller, commit));
  }
  testing::Rig rig_;
  volume::ReleaseRecord base_;
};

TEST_F(DepotEndpoints, AptIsToldWhichMirrorComesFirst) {
  const auto list = [&](const char* path) {
    return rig_.get(path, {{"User-Agent", "Debian APT-HTTP/1.3 (2.6.1)"}}).body;
  };
  EXPECT_EQ(list("/repo/-/mirrorlist"), "http://depot.test/repo@1/\tpriority:1\nhttp://depot.test/repo/\tpriority:2\n");
  EXPECT_EQ(list("/repo@1/-/mirrorlist"), "http://depot.test/repo@1/\n");
}

TEST_F(DepotEndpoints, MirrorlistPointsAtThePinnedRelease) {  // D8
  Got got = rig_.get("/repo/-/mirrorlist", {{"Host", "mirror.example:8080"}});
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "http://mirror.example:8080/repo@1/\nhttp://mirror.example:8080/repo/\n")
      << "the channel has what an index of the release before names";
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_THAT(got.header("Content-Type"), HasSubstr("text/plain"));
  publish({"x"});
  EXPECT_EQ(rig_.get("/repo/-/mirrorlist?path=os/x86%5F64/").body,
            "http://depot.test/repo@2/os/x86_64/\nhttp://depot.test/repo/os/x86_64/\n");
  EXPECT_EQ(rig_.get("/repo@1/-/mirrorlist").body, "http://depot.test/repo@1/\n");
  rig_.secure = true;
  EXPECT_EQ(rig_.get("/repo/-/mirrorlist").body, "https://depot.test/repo@2/\nhttps://depot.test/repo/\n");
  rig_.options.base_url = "https://public.example/sub";
  rig_.restart();
  EXPECT_EQ(rig_.get("/repo/-/mirrorlist").body,
            "https://public.example/sub/repo@2/\nhttps://public.example/sub/repo/\n");
}

TEST_F(DepotEndpoints, MetalinkPinsSizeHashAndUrl) {
  const Bytes content = "bytes of repodata/repomd.xml";
  const Got got = rig_.get("/repo/-/metalink?path=repodata/repomd.xml");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Content-Type"), "application/metalink+xml");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_THAT(got.body, HasSubstr("http://depot.test/repo@1/repodata/repomd.xml</url>"));
  EXPECT_THAT(got.body, HasSubstr(sha256(content).hex()));
  EXPECT_EQ(rig_.get("/repo/-/metalink").body, got.body) << "the path that dnf wants is the default";
  EXPECT_EQ(rig_.get("/repo/-/metalink?path=none").status, 404);
  EXPECT_EQ(rig_.get("/repo/-/metalink?path=pool").status, 404);
}

TEST_F(DepotEndpoints, FeedAndChangesComeFromTheRelease) {
  publish({"second"});
  Got got = rig_.get("/repo/-/feed.atom");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Content-Type"), "application/atom+xml");
  EXPECT_EQ(got.header("Cache-Control"), "no-cache");
  EXPECT_TRUE(got.has("ETag"));
  EXPECT_THAT(got.body, HasSubstr("message &lt;1&gt;"));
  EXPECT_EQ(rig_.get("/repo/-/feed.atom", {{"If-None-Match", got.header("ETag")}}).status, 304);
  got = rig_.get("/repo/-/changes");
  EXPECT_EQ(got.header("Content-Type"), "application/x-ndjson");
  EXPECT_THAT(got.body, HasSubstr("\"second\""));
  EXPECT_THAT(got.body, ::testing::Not(HasSubstr("hello")));
  EXPECT_THAT(rig_.get("/repo@1/-/changes").body, HasSubstr("hello"));
  EXPECT_EQ(rig_.get("/repo@1/-/changes").header("Cache-Control"), "public, max-age=31536000, immutable");
}

TEST_F(DepotEndpoints, ReleaseShowsTheSignedRecord) {
  const auto json = nlohmann::json::parse(rig_.get("/repo@1/-/release").body);
  EXPECT_EQ(json["release"], 1);
  EXPECT_EQ(json["message"], "message <1>");
  EXPECT_EQ(json["key_id"], "key");
  EXPECT_EQ(json["signature_base64"], to_base64("signature"));
  EXPECT_EQ(json["signed_base64"], to_base64(base_.signed_bytes()));
  EXPECT_EQ(json["root"], base_.root.id.hex());
}

TEST_F(DepotEndpoints, SearchAnswersFromTheReleasesOwnIndex) {
  publish({"pool/world_2.0_amd64.deb"});
  const auto found = [&](Bytes target) { return nlohmann::json::parse(rig_.get(target).body)["hits"]; };
  ASSERT_EQ(found("/repo/-/search?q=world&format=json").size(), 1u);
  const auto hit = found("/repo/-/search?q=world&format=json")[0];
  EXPECT_EQ(hit["key"], "pool/world_2.0_amd64.deb");
  EXPECT_EQ(hit["package"]["version"], "2.0");
  EXPECT_EQ(found("/repo@1/-/search?q=world&format=json").size(), 0u) << "release 1 does not have it";
  EXPECT_EQ(found("/repo@1/-/search?q=hello&format=json").size(), 1u);
  const Got html = rig_.get("/repo/-/search?q=world");
  EXPECT_THAT(html.body, HasSubstr("<a href=\"/repo/pool/world_2.0_amd64.deb\">"));
  EXPECT_EQ(html.header("X-Hailstone-Release"), "2");
  EXPECT_EQ(rig_.get("/repo/-/search").status, 200) << "just the form";
  EXPECT_EQ(rig_.get("/repo/-/search?q=%22%3E%3Cscript%3E").body.find("<script>"), Bytes::npos);
  EXPECT_EQ(rig_.get("/repo/-/search?q=x&limit=0").status, 400);
  EXPECT_EQ(rig_.get("/repo/-/search?q=x&offset=-1").status, 400);
}

TEST_F(DepotEndpoints, ReleasesWithoutDerivedDataSaySo) {
  rig_.cell.create("bare");
  rig_.cell.put("bare", "x", "x");
  rig_.cell.release("bare");
  EXPECT_EQ(rig_.get("/bare/-/feed.atom").status, 404);
  EXPECT_EQ(nlohmann::json::parse(rig_.get("/bare/-/search?q=x&format=json").body)["hits"].size(), 0u);
}

}  // namespace
}  // namespace hailstone::depot
