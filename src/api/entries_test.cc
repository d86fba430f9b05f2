#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using enum http::Method;

struct Entries : ::testing::Test {
  ApiCell api;
  void SetUp() override {
    api.cell.create("vol");
    for (const char* key : {"a/1", "a/2", "b", "c/1"}) api.cell.put("vol", key, key);
    api.cell.release("vol");
    api.cell.put("vol", "d", "unpublished");
  }
  static Bytes keys(const Json& body) {
    Bytes out;
    for (const auto& entry : body["entries"]) out += entry["key"].get<std::string>() + " ";
    return out;
  }
};

TEST_F(Entries, AreListedInPages) {
  EXPECT_EQ(keys(api.get("targets/vol/list").body), "a/1 a/2 b c/1 d ");
  EXPECT_EQ(keys(api.get("targets/vol@1/list").body), "a/1 a/2 b c/1 ");
  EXPECT_TRUE(api.get("targets/vol/list").body["release"].is_null());
  EXPECT_EQ(api.get("targets/vol@current/list").body["release"], 1);
  EXPECT_EQ(keys(api.get("targets/vol/list?prefix=a%2F").body), "a/1 a/2 ");
  const auto page = api.get("targets/vol/list?limit=2&start_after=a/1");
  EXPECT_EQ(keys(page.body), "a/2 b ");
  EXPECT_EQ(page.body["next"], "b");
  EXPECT_TRUE(api.get("targets/vol/list?start_after=b").body["next"].is_null());
  const auto folders = api.get("targets/vol/list?delimiter=/");
  EXPECT_EQ(keys(folders.body), "b d ");
  EXPECT_EQ(folders.body["prefixes"], Json::array({"a/", "c/"}));
}

TEST_F(Entries, ListRefusesWhatItCannotDo) {
  EXPECT_EQ(api.get("targets/vol/list?limit=0").status, 400);
  EXPECT_EQ(api.get("targets/vol/list?limit=10001").status, 400);
  EXPECT_EQ(api.get("targets/vol/list?page=2").message(), "unknown query parameter 'page'");
  EXPECT_EQ(api.get("targets/ghost/list").status, 404);
  EXPECT_EQ(api.get("targets/vol@9/list").status, 404);
  EXPECT_EQ(api.get("targets/vol@ghost/list").status, 404);
  EXPECT_EQ(api.get("targets/vol@draft-9/list").status, 404);
  EXPECT_EQ(api.get("targets/vol@draft-x/list").status, 400);
}

TEST_F(Entries, TellAllAboutOne) {
  const auto entry = api.get("targets/vol@1/entry?key=a%2F1");
  ASSERT_EQ(entry.status, 200);
  EXPECT_EQ(entry.body["key"], "a/1");
  EXPECT_EQ(entry.body["kind"], "file");
  EXPECT_EQ(entry.body["size"], 3);
  EXPECT_EQ(entry.body["sha256"], sha256("a/1").hex());
  EXPECT_EQ(entry.body["etag"], sha256("a/1").hex());
  EXPECT_EQ(entry.body["release"], 1);
  EXPECT_EQ(api.get("targets/vol/entry?key=ghost").message(), "'vol' has no key 'ghost'");
  EXPECT_EQ(api.get("targets/vol/entry?key=ghost").status, 404);
  EXPECT_EQ(api.get("targets/vol/entry").status, 400);
}

TEST_F(Entries, AreRemovedUnderConditions) {
  const Bytes etag = "\"" + sha256("b").hex() + "\"";
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, {{"If-Match", "W/" + etag}}).status, 412);
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, {{"If-Match", "b"}}).status, 400);
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, {{"If-Match", "\"x\", " + etag}}).status, 204);
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, {{"If-Match", "*"}}).status, 412);
  EXPECT_EQ(api.erase("targets/vol/content?key=b").status, 204) << "removing what is not there is fine";
  EXPECT_EQ(api.get("targets/vol/entry?key=b").status, 404);
  EXPECT_EQ(api.get("targets/vol@1/entry?key=b").status, 200);
  EXPECT_EQ(api.erase("targets/vol@1/content?key=b").status, 403);
  EXPECT_EQ(api.erase("targets/vol/content").status, 400);
}

TEST_F(Entries, ARetriedRemovalSucceedsThoughItsConditionNoLongerHolds) {
  const std::vector<std::pair<Bytes, Bytes>> fields{{"If-Match", "*"}, {"Idempotency-Key", "k"}};
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, fields).status, 204);
  EXPECT_EQ(api.as(api.admin, Delete, "targets/vol/content?key=b", {}, fields).status, 204);
}

TEST_F(Entries, TokensMoveWithWritesOnly) {
  const auto before = api.get("targets/vol/token").body["token"];
  EXPECT_EQ(api.get("targets/vol/token").body["token"], before);
  EXPECT_NE(api.get("targets/vol@1/token").body["token"], before);
  EXPECT_EQ(api.get("targets/vol@1/token").body["release"], 1);
  ASSERT_TRUE(api.cell.repository.seal(**api.cell.repository.volume("vol"), volume::kHeadLayer));
  EXPECT_EQ(api.get("targets/vol/token").body["token"], before);
  api.cell.put("vol", "x", "y");
  EXPECT_NE(api.get("targets/vol/token").body["token"], before);
}

}  // namespace
}  // namespace hailstone::api
