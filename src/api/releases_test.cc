#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;

struct Releases : ::testing::Test {
  ApiCell api;
  void SetUp() override {
    api.cell.create("vol");
    for (const char* key : {"a", "b", "c"}) {
      api.cell.put("vol", key, "content");
      const auto published = api.post("publish", R"({"items":[{"volume":"vol","message":"m"}]})");
      ASSERT_EQ(published.status, 200) << published.message();
    }
  }
};

TEST_F(Releases, AreListedNewestFirstInPages) {
  const auto all = api.get("volumes/vol/releases");
  ASSERT_EQ(all.body["releases"].size(), 3u);
  EXPECT_EQ(all.body["releases"][0]["release"], 3);
  EXPECT_TRUE(all.body["next"].is_null());
  const auto page = api.get("volumes/vol/releases?limit=2");
  EXPECT_EQ(page.body["next"], 2);
  const auto rest = api.get("volumes/vol/releases?limit=2&before=2");
  ASSERT_EQ(rest.body["releases"].size(), 1u);
  EXPECT_EQ(rest.body["releases"][0]["release"], 1);
  EXPECT_TRUE(rest.body["next"].is_null());
  EXPECT_EQ(api.get("volumes/vol/releases?limit=1001").status, 400);
  EXPECT_EQ(api.get("volumes/ghost/releases").status, 404);
}

TEST_F(Releases, TellTheirWholeRecord) {
  const auto two = api.get("volumes/vol/releases/2").body;
  EXPECT_EQ(two["release"], 2);
  EXPECT_EQ(two["parent"], 1);
  EXPECT_EQ(two["parent_hash"], api.get("volumes/vol/releases/1").body["hash"]);
  EXPECT_EQ(two["keys"], 2);
  EXPECT_EQ(two["bytes"], 14);
  EXPECT_EQ(two["added"], 1);
  EXPECT_EQ(two["author"], "root");
  EXPECT_EQ(two["message"], "m");
  EXPECT_EQ(two["kind"], "publish");
  EXPECT_EQ(two["key_id"], api.get("public-key").body["key_id"]);
  EXPECT_TRUE(two["signature"].is_string());
  EXPECT_EQ(two["channels"], Json::array());
  EXPECT_EQ(api.get("volumes/vol/releases/3").body["channels"], Json::array({"current"}));
  EXPECT_EQ(api.get("volumes/vol/releases/4").status, 404);
  EXPECT_EQ(api.get("volumes/vol/releases/0").status, 400);
  EXPECT_EQ(api.get("volumes/vol/releases/current").status, 400);
}

TEST_F(Releases, AreComparedByNumberChannelOrTag) {
  const auto diff = api.get("volumes/vol/diff?from=1&to=3");
  EXPECT_EQ(diff.body["changes"].size(), 2u);
  EXPECT_EQ(diff.body["changes"][0]["key"], "b");
  EXPECT_EQ(api.get("volumes/vol/diff?from=1").body, diff.body);
  EXPECT_EQ(api.get("volumes/vol/diff?from=1&to=current").body, diff.body);
  EXPECT_EQ(api.get("volumes/vol/diff?from=0&to=1").body["changes"].size(), 1u);
  EXPECT_EQ(api.get("volumes/vol/diff?from=3&to=3").body["changes"], Json::array());
  EXPECT_EQ(api.get("volumes/vol/diff").message(), "query parameter 'from' is missing");
  EXPECT_EQ(api.get("volumes/vol/diff?from=7").status, 404);
  EXPECT_EQ(api.get("volumes/vol/diff?from=ghost").status, 404);
  api.post("volumes/vol/drafts", "{}");
  EXPECT_EQ(api.get("volumes/vol/diff?from=draft-1").status, 400);
}

TEST_F(Releases, AreTaggedAndHeld) {
  EXPECT_EQ(api.put("volumes/vol/releases/2/tags/v1.0").status, 204);
  EXPECT_EQ(api.get("volumes/vol/releases/2").body["tags"], Json::array({"v1.0"}));
  EXPECT_EQ(api.get("volumes/vol").body["tags"], (Json{{"v1.0", 2}}));
  EXPECT_EQ(api.get("targets/vol@v1.0/list").body["release"], 2);
  EXPECT_EQ(api.put("volumes/vol/releases/2/tags/current").status, 409);
  EXPECT_EQ(api.put("volumes/vol/releases/2/tags/1x").status, 400);
  EXPECT_EQ(api.put("volumes/vol/releases/9/tags/v9").status, 404);
  EXPECT_EQ(api.put("volumes/vol/releases/2/tags/v2", R"({"x":1})").status, 400);
  EXPECT_EQ(api.erase("volumes/vol/releases/3/tags/v1.0").status, 404) << "it is on release 2";
  EXPECT_EQ(api.erase("volumes/vol/releases/2/tags/v1.0").status, 204);
  EXPECT_EQ(api.erase("volumes/vol/releases/2/tags/v1.0").status, 404);

  EXPECT_EQ(api.put("volumes/vol/releases/2/holds/audit", R"({"reason":"law"})").status, 204);
  const auto held = api.get("volumes/vol/releases/2").body["holds"];
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0]["name"], "audit");
  EXPECT_EQ(held[0]["reason"], "law");
  EXPECT_EQ(api.put("volumes/vol/releases/9/holds/audit").status, 404);
  EXPECT_EQ(api.put("volumes/vol/releases/2/holds/audit", R"({"reson":"law"})").message(),
            "unknown field 'reson'; did you mean 'reason'?");
  EXPECT_EQ(api.put("volumes/vol/releases/2/holds/b", Json{{"reason", Bytes(1025, 'x')}}.dump()).status, 400);
  EXPECT_EQ(api.erase("volumes/vol/releases/2/holds/audit").status, 204);
  EXPECT_EQ(api.erase("volumes/vol/releases/2/holds/audit").status, 404);
}

TEST_F(Releases, AreSearched) {
  const auto head = api.get("targets/vol/search?q=c");
  ASSERT_EQ(head.status, 200) << head.message();
  EXPECT_EQ(head.body["release"], 3);
  ASSERT_EQ(head.body["hits"].size(), 1u);
  EXPECT_EQ(head.body["hits"][0]["key"], "c");
  EXPECT_EQ(api.get("targets/vol@1/search?q=c").body["hits"], Json::array());
  EXPECT_EQ(api.get("targets/vol@1/search?q=a").body["hits"].size(), 1u);
  EXPECT_EQ(api.get("targets/vol/search").status, 400);
  EXPECT_EQ(api.get("targets/vol/search?q=a&limit=0").status, 400);
  api.post("volumes/vol/drafts", "{}");
  EXPECT_EQ(api.get("targets/vol@draft-1/search?q=a").status, 400);
  api.cell.create("bare");
  EXPECT_EQ(api.get("targets/bare/search?q=a").status, 404);
}

}  // namespace
}  // namespace hailstone::api
