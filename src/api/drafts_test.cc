#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;

TEST(Drafts, StartFromTheCurrentReleaseUnlessToldOtherwise) {
  ApiCell api;
  api.cell.create("vol");
  const auto empty = api.post("volumes/vol/drafts", "{}");
  ASSERT_EQ(empty.status, 201) << empty.message();
  EXPECT_EQ(empty.body["draft"], 1);
  EXPECT_TRUE(empty.body["base"].is_null());
  api.cell.put("vol", "a", "1");
  api.cell.release("vol");
  api.cell.put("vol", "b", "2");
  api.cell.release("vol");
  EXPECT_EQ(api.post("volumes/vol/drafts", R"({"base":null})").body["base"], 2);
  EXPECT_EQ(api.post("volumes/vol/drafts", R"({"base":1,"message":"m"})").body["base"], 1);
  EXPECT_TRUE(api.post("volumes/vol/drafts", R"({"base":0})").body["base"].is_null());
  EXPECT_EQ(api.post("volumes/vol/drafts", R"({"base":9})").status, 404);
  EXPECT_EQ(api.post("volumes/vol/drafts", R"({"base":"x"})").status, 400);
  EXPECT_EQ(api.post("volumes/ghost/drafts", "{}").status, 404);

  const auto listed = api.get("volumes/vol/drafts");
  ASSERT_EQ(listed.body["drafts"].size(), 4u);
  EXPECT_EQ(listed.body["drafts"][2]["message"], "m");
  EXPECT_EQ(listed.body["drafts"][2]["author"], "root");
  EXPECT_EQ(api.get("volumes/vol/drafts/3").body["base"], 1);
  EXPECT_EQ(api.get("volumes/vol/drafts/99").status, 404);
  EXPECT_EQ(api.get("volumes/vol/drafts/x").status, 400);
  EXPECT_EQ(api.get("targets/vol@draft-3/list").body["entries"].size(), 1u);
}

TEST(Drafts, ARetryGetsTheFirstDraftEvenWhenItIsGone) {
  ApiCell api;
  api.cell.create("vol");
  const auto open = [&] {
    return api.as(api.admin, http::Method::Post, "volumes/vol/drafts", "{}", {{"Idempotency-Key", "k"}});
  };
  EXPECT_EQ(open().body["draft"], 1);
  EXPECT_EQ(api.erase("volumes/vol/drafts/1").status, 204);
  EXPECT_EQ(open().body["draft"], 1);
  EXPECT_EQ(api.erase("volumes/vol/drafts/1").status, 404);
}

TEST(Drafts, ShowTheirDifferencePageByPage) {
  ApiCell api;
  api.cell.create("vol");
  for (const char* key : {"a", "b", "c"}) api.cell.put("vol", key, "old");
  api.cell.release("vol");
  api.post("volumes/vol/drafts", "{}");
  api.cell.remove("vol@draft-1", "a");
  api.cell.put("vol@draft-1", "b", "changed");
  api.cell.put("vol@draft-1", "d", "n");
  const auto whole = api.get("volumes/vol/drafts/1/diff");
  ASSERT_EQ(whole.status, 200) << whole.message();
  EXPECT_EQ(whole.body, Json::parse(R"({"next":null,"changes":[
    {"key":"a","change":"removed","old_size":3,"new_size":null},
    {"key":"b","change":"changed","old_size":3,"new_size":7},
    {"key":"d","change":"added","old_size":null,"new_size":1}]})"));
  const auto first = api.get("volumes/vol/drafts/1/diff?limit=2");
  EXPECT_EQ(first.body["changes"].size(), 2u);
  EXPECT_EQ(first.body["next"], "b");
  const auto rest = api.get("volumes/vol/drafts/1/diff?limit=2&after=b");
  EXPECT_EQ(rest.body["changes"], Json::array({whole.body["changes"][2]}));
  EXPECT_TRUE(rest.body["next"].is_null());
  EXPECT_EQ(api.get("volumes/vol/drafts/1/diff?limit=0").status, 400);
  EXPECT_EQ(api.get("volumes/vol/drafts/2/diff").status, 404);
}

}  // namespace
}  // namespace hailstone::api
