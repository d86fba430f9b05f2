#include "api/upkeep.h"

#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;

class FixedUpkeep final : public Upkeep {
 public:
  uint64_t ask(Chore chore, const ChoreOptions& options) override {
    asked.emplace_back(chore, options.dry_run, options.skip_window);
    return asked.size();
  }
  Json status() const override { return {{"collect", {{"finished", asked.size()}}}}; }
  Result<std::vector<std::string>> why(const ChunkId& id, size_t limit) override {
    return std::vector<std::string>(std::min<size_t>(limit, 2), "because of " + id.brief());
  }
  std::vector<std::tuple<Chore, bool, bool>> asked;
};

struct UpkeepCalls : ::testing::Test {
  ApiCell api;
  FixedUpkeep upkeep;
  void SetUp() override {
    api.context.services.upkeep = &upkeep;
    api.cell.create("vol", {.grace_seconds = 0, .keep_releases = 1});
  }
};

TEST_F(UpkeepCalls, AChoreIsAskedForByName) {
  const auto asked = api.post("upkeep", R"({"chore":"collect","dry_run":true})");
  EXPECT_EQ(asked.status, 202);
  EXPECT_EQ(asked.body["ticket"], 1);
  EXPECT_EQ(api.post("upkeep", R"({"chore":"scrub"})").body["ticket"], 2);
  EXPECT_EQ(upkeep.asked,
            (std::vector<std::tuple<Chore, bool, bool>>{{Chore::Collect, true, false}, {Chore::Scrub, false, false}}));
  EXPECT_EQ(api.post("upkeep", R"({"chore":"tidy"})").message(),
            "field 'chore' must be 'collect', 'verify', 'compact' or 'scrub'");
  EXPECT_EQ(api.post("upkeep", R"({"chore":"scrub","dry":true})").status, 400);
  EXPECT_EQ(api.get("upkeep").body["collect"]["finished"], 2);
}

TEST_F(UpkeepCalls, ANodeWithoutAStoreHasNone) {
  api.context.services.upkeep = nullptr;
  EXPECT_EQ(api.get("upkeep").status, 501);
}

TEST_F(UpkeepCalls, SayWhyAChunkAKeyOrAReleaseIsThere) {
  api.cell.put("vol", "key", Bytes(3000, 'x'));
  api.cell.release("vol");
  const auto id = sha256(Bytes(3000, 'x')).hex();
  const auto chunk = api.get("chunks/" + id + "/why?limit=1");
  EXPECT_EQ(chunk.body["present"], true);
  EXPECT_EQ(chunk.body["bytes"], 3000);
  EXPECT_EQ(chunk.body["reasons"], Json({"because of " + id.substr(0, 12)}));
  EXPECT_EQ(api.get("chunks/" + Bytes(64, '0') + "/why").body["present"], false);
  EXPECT_EQ(api.get("chunks/xyz/why").status, 400);
  const auto key = api.get("targets/vol/why?key=key");
  EXPECT_EQ(key.body["chunks"].size(), 1u);
  EXPECT_EQ(api.get("targets/vol/why?key=none").status, 404);
  const auto release = api.get("targets/vol@1/why");
  EXPECT_EQ(release.body["reasons"][0], "channel 'current' is at it");
  EXPECT_EQ(api.get("targets/vol/why").body["release"], 1);
  EXPECT_EQ(api.get("targets/vol@9/why").status, 404);
}

TEST_F(UpkeepCalls, AReleaseIsTrashedAndRestored) {
  for (int i = 0; i < 2; ++i) {
    api.cell.put("vol", "key", std::to_string(i));
    api.cell.release("vol");
    api.cell.clock.advance_seconds(10);
  }
  EXPECT_EQ(api.erase("volumes/vol/releases/2").status, 409);
  EXPECT_EQ(api.erase("volumes/vol/releases/1").status, 204);
  EXPECT_EQ(api.get("volumes/vol/releases/1").status, 404);
  EXPECT_EQ(api.get("volumes/vol/trash").body["trash"][0]["release"], 1);
  EXPECT_TRUE(api.get("targets/vol@1/why").body.contains("trashed"));
  EXPECT_EQ(api.post("volumes/vol/releases/1/restore", "").status, 204);
  EXPECT_EQ(api.get("volumes/vol/releases/1").status, 200);
  EXPECT_EQ(api.post("volumes/vol/releases/1/restore", "").status, 404);
}

TEST_F(UpkeepCalls, TheAuditTrailIsPagedNewestFirst) {
  for (const char* name : {"v-a", "v-b", "v-c"}) api.post("volumes", std::string(R"({"name":")") + name + "\"}");
  const auto first = api.get("audit?limit=2");
  ASSERT_EQ(first.body["records"].size(), 2u);
  EXPECT_EQ(first.body["records"][0]["author"], "root");
  const auto next = api.get("audit?limit=2&before=" + first.body["next"].dump());
  EXPECT_LT(next.body["records"][0]["slot"], first.body["records"][1]["slot"]);
}

}  // namespace
}  // namespace hailstone::api
