#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using volume::Role;

TEST(Publish, MakesReleasesOfSeveralVolumesAtOnce) {
  ApiCell api;
  for (const char* name : {"one", "two"}) {
    api.cell.create(name);
    api.cell.put(name, "a", "x");
  }
  const auto done = api.post("publish", R"({"items":[{"volume":"one","message":"m"},{"volume":"two","draft":null}],
                                           "channels":["current","stable"],"author":"ann"})");
  ASSERT_EQ(done.status, 200) << done.message();
  ASSERT_EQ(done.body["releases"].size(), 2u);
  const Json& one = done.body["releases"][0];
  EXPECT_EQ(one["volume"], "one");
  EXPECT_EQ(one["release"], 1);
  EXPECT_EQ(one["unchanged"], false);
  EXPECT_EQ(one["added"], 1);
  EXPECT_EQ(one["channels"], Json::array({"current", "stable"}));
  EXPECT_EQ(api.get("volumes/two").body["channels"], (Json{{"current", 1}, {"stable", 1}}));
  EXPECT_EQ(api.get("volumes/one/releases/1").body["author"], "ann");
  EXPECT_EQ(api.post("publish", R"({"items":[{"volume":"one"}]})").body["releases"][0]["unchanged"], true);
}

TEST(Publish, DryRunsChangeNothing) {
  ApiCell api;
  api.cell.create("vol");
  api.cell.put("vol", "a", "x");
  const auto dry = api.post("publish", R"({"items":[{"volume":"vol"}],"dry_run":true})");
  ASSERT_EQ(dry.status, 200) << dry.message();
  EXPECT_EQ(dry.body["dry_run"], true);
  EXPECT_EQ(dry.body["releases"][0]["added"], 1);
  EXPECT_EQ(api.get("volumes/vol").body["releases"], 0);
}

TEST(Publish, ARetryIsOnePublish) {
  ApiCell api;
  api.cell.create("vol");
  api.cell.put("vol", "a", "x");
  const auto publish = [&] {
    return api.as(api.admin, http::Method::Post, "publish", R"({"items":[{"volume":"vol"}]})",
                  {{"Idempotency-Key", "p"}});
  };
  EXPECT_EQ(publish().body["releases"][0]["release"], 1);
  api.cell.put("vol", "b", "x");
  EXPECT_EQ(publish().body["releases"][0]["release"], 1);
  EXPECT_EQ(api.get("volumes/vol").body["releases"], 1);
}

TEST(Publish, AConflictNamesTheKeys) {
  ApiCell api;
  api.cell.create("vol");
  api.cell.put("vol", "a", "0");
  ASSERT_EQ(api.post("publish", R"({"items":[{"volume":"vol"}]})").status, 200);
  for (int i = 0; i < 2; ++i) api.post("volumes/vol/drafts", "{}");
  api.cell.put("vol@draft-1", "a", "1");
  api.cell.put("vol@draft-2", "a", "2");
  ASSERT_EQ(api.post("publish", R"({"items":[{"volume":"vol","draft":1}]})").status, 200);
  const auto lost = api.post("publish", R"({"items":[{"volume":"vol","draft":2}]})");
  EXPECT_EQ(lost.status, 409);
  EXPECT_EQ(lost.code(), "conflict");
  EXPECT_EQ(lost.body["error"]["keys"], Json::array({"a"}));
}

TEST(Publish, ChecksRefuseWithFindings) {
  ApiCell api;
  api.cell.create("apt");
  api.cell.put("apt", "dists/stable/Release",
               "Origin: x\nSuite: stable\nCodename: stable\nDate: Sat, 21 Nov 2026 10:00:00 UTC\nArchitectures: amd64\n"
               "Components: main\nSHA256:\n "
               "0000000000000000000000000000000000000000000000000000000000000000 12 main/binary-amd64/Packages\n");
  const auto refused = api.post("publish", R"({"items":[{"volume":"apt"}]})");
  EXPECT_EQ(refused.status, 400);
  ASSERT_FALSE(refused.body["error"]["findings"].empty()) << refused.message();
  EXPECT_EQ(refused.body["error"]["findings"][0]["severity"], "refuse");
  EXPECT_TRUE(refused.body["error"]["findings"][0]["key"].is_string());
}

TEST(Publish, RefusesWhatMakesNoSense) {
  ApiCell api;
  api.cell.create("vol");
  for (const char* body :
       {"{}", R"({"items":[]})", R"({"items":[{}]})", R"({"items":[{"volume":"vol","drft":1}]})",
        R"({"items":[{"volume":"vol"}],"channels":[]})", R"({"items":[{"volume":"vol"}],"channels":["1"]})",
        R"({"items":[{"volume":"vol","draft":0}]})", R"({"items":{"volume":"vol"}})",
        R"({"items":[{"volume":"vol"},{"volume":"vol"}]})", R"({"items":[{"volume":"vol"}],"dry_run":1})"})
    EXPECT_EQ(api.post("publish", body).status, 400) << body;
  EXPECT_EQ(api.post("publish", R"({"items":[{"volume":"ghost"}]})").status, 404);
  EXPECT_EQ(api.post("publish", R"({"items":[{"volume":"vol","draft":3}]})").status, 404);
}

TEST(Publish, TakesAPublisherOfEveryVolumeNamed) {
  ApiCell api;
  for (const char* name : {"one", "two"}) {
    api.cell.create(name);
    api.cell.put(name, "a", "x");
    api.cell.release(name);
  }
  const Bytes key = api.key("p", Role::Publisher, {"one"});
  for (const auto& [path, body] : std::vector<std::pair<Bytes, Bytes>>{
           {"publish", R"({"items":[{"volume":"one"},{"volume":"two"}]})"},
           {"flip",
            R"({"flips":[{"volume":"one","channel":"x","release":1},{"volume":"two","channel":"x","release":1}]})"},
           {"rollback", R"({"volume":"two"})"},
           {"revert", R"({"volume":"two","to":1})"}}) {
    const auto refused = api.as(key, http::Method::Post, path, body);
    EXPECT_EQ(refused.status, 403) << path;
    EXPECT_NE(refused.message().find("'two'"), Bytes::npos) << refused.message();
  }
  EXPECT_EQ(api.as(key, http::Method::Post, "publish", R"({"items":[{"volume":"one"}]})").status, 200);
}

struct Channels : ::testing::Test {
  ApiCell api;
  void SetUp() override {
    api.cell.create("vol");
    for (const char* content : {"1", "2", "3"}) {
      api.cell.put("vol", "a", content);
      ASSERT_EQ(api.post("publish", R"({"items":[{"volume":"vol"}]})").status, 200);
    }
  }
};

TEST_F(Channels, TellTheirHistory) {
  const auto listed = api.get("volumes/vol/channels");
  ASSERT_EQ(listed.body["channels"].size(), 1u);
  const Json& current = listed.body["channels"][0];
  EXPECT_EQ(current["name"], "current");
  EXPECT_EQ(current["release"], 3);
  EXPECT_EQ(current["sequence"], 3);
  ASSERT_EQ(current["history"].size(), 3u);
  EXPECT_EQ(current["history"][2]["release"], 1);
  EXPECT_EQ(current["history"][0]["since"], current["since"]);
}

TEST_F(Channels, FlipTogetherOrNotAtAll) {
  const auto done = api.post("flip", R"({"flips":[{"volume":"vol","channel":"stable","release":2,"expect":0},
                                                  {"volume":"vol","channel":"current","release":1,"expect":3}]})");
  ASSERT_EQ(done.status, 200) << done.message();
  EXPECT_EQ(done.body["flips"].size(), 2u);
  EXPECT_EQ(api.get("volumes/vol").body["channels"], (Json{{"current", 1}, {"stable", 2}}));
  const auto stale = api.post("flip", R"({"flips":[{"volume":"vol","channel":"stable","release":3},
                                                   {"volume":"vol","channel":"current","release":2,"expect":3}]})");
  EXPECT_EQ(stale.status, 409);
  EXPECT_EQ(api.get("volumes/vol").body["channels"], (Json{{"current", 1}, {"stable", 2}}));
  EXPECT_EQ(api.post("flip", R"({"flips":[{"volume":"vol","channel":"stable","release":null}]})").status, 200);
  EXPECT_EQ(api.get("volumes/vol").body["channels"], (Json{{"current", 1}}));
  EXPECT_EQ(api.post("flip", R"({"flips":[{"volume":"vol","channel":"stable"}]})").status, 400);
  EXPECT_EQ(api.post("flip", R"({"flips":[]})").status, 400);
  EXPECT_EQ(api.post("flip", R"({"flips":[{"volume":"vol","channel":"x","release":9}]})").status, 404);
  EXPECT_EQ(api.post("flip", R"({"flips":[{"volume":"ghost","channel":"x","release":1}]})").status, 404);
}

TEST_F(Channels, RollBackAndRevert) {
  const auto back = api.post("rollback", R"({"volume":"vol","channel":"current","to":null})");
  ASSERT_EQ(back.status, 200) << back.message();
  EXPECT_EQ(back.body["from"], 3);
  EXPECT_EQ(back.body["to"], 2);
  EXPECT_TRUE(back.body["warnings"].is_array());
  EXPECT_EQ(api.post("rollback", R"({"volume":"vol","to":1})").body["to"], 1);
  EXPECT_EQ(api.post("rollback", R"({"volume":"vol","channel":"ghost"})").status, 404);
  EXPECT_EQ(api.post("rollback", R"({})").status, 400);

  const auto reverted = api.post("revert", R"({"volume":"vol","to":2,"channels":["current"],"message":"back"})");
  ASSERT_EQ(reverted.status, 200) << reverted.message();
  EXPECT_EQ(reverted.body["releases"][0]["release"], 4);
  EXPECT_EQ(api.get("volumes/vol/releases/4").body["kind"], "revert");
  EXPECT_EQ(api.get("volumes/vol/releases/4").body["root"], api.get("volumes/vol/releases/2").body["root"]);
  EXPECT_EQ(api.post("revert", R"({"volume":"vol","to":99})").status, 404);
  EXPECT_EQ(api.post("revert", R"({"volume":"vol"})").status, 400);
}

}  // namespace
}  // namespace hailstone::api
