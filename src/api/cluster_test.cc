#include "api/cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;

class FixedCluster final : public Cluster {
 public:
  Result<Json> status() override { return Json{{"node", 1}, {"nodes", Json::array()}}; }
  Result<void> use_store(uint64_t node, StoreUse use) override {
    if (node != 2) return fail(Code::NotFound, "node 9 has no store");
    drained = use == StoreUse::Draining;
    return {};
  }
  Result<void> remove(uint64_t, Lost lost) override {
    if (lost == Lost::No) return fail(Code::Conflict, "node 2 is up: drain it");
    return {};
  }
  Result<Step> replace(uint64_t old, uint64_t by, const std::string& address) override {
    return Step{address.empty(), fmt::format("{} by {}", old, by)};
  }
  bool drained = false;
};

struct ClusterCalls : ::testing::Test {
  ApiCell api;
  FixedCluster cluster;
  void SetUp() override { api.context.services.cluster = &cluster; }
};

TEST_F(ClusterCalls, StatusIsPassedOn) { EXPECT_EQ(api.get("cluster").body["node"], 1); }

TEST_F(ClusterCalls, AStoreIsDrainedAndTakenInAgain) {
  EXPECT_EQ(api.put("cluster/stores/2", R"({"state":"draining"})").status, 200);
  EXPECT_TRUE(cluster.drained);
  EXPECT_EQ(api.put("cluster/stores/2", R"({"state":"in"})").status, 200);
  EXPECT_FALSE(cluster.drained);
  EXPECT_EQ(api.put("cluster/stores/9", R"({"state":"in"})").status, 404);
  EXPECT_EQ(api.put("cluster/stores/two", R"({"state":"in"})").status, 400);
  EXPECT_EQ(api.put("cluster/stores/2", R"({"state":"out"})").message(), "field 'state' must be 'in' or 'draining'");
}

TEST_F(ClusterCalls, WhatIsLostHasToBeSaid) {
  EXPECT_EQ(api.erase("cluster/nodes/2").status, 409);
  EXPECT_EQ(api.erase("cluster/nodes/2?lost=yes").status, 400);
  EXPECT_EQ(api.erase("cluster/nodes/2?lost=true").status, 204);
}

TEST_F(ClusterCalls, ReplacingGoesOnStepByStep) {
  const auto step = api.post("cluster/nodes/2/replace", R"({"by":4,"address":"10.0.0.4:8083"})");
  EXPECT_EQ(step.body["done"], false);
  EXPECT_EQ(step.body["step"], "2 by 4");
  EXPECT_EQ(api.post("cluster/nodes/2/replace", R"({"by":4})").body["done"], true);
  EXPECT_EQ(api.post("cluster/nodes/2/replace", R"({"by":2})").status, 400);
}

TEST_F(ClusterCalls, ANodeWithoutACellHasNone) {
  api.context.services.cluster = nullptr;
  EXPECT_EQ(api.get("cluster").status, 501);
}

}  // namespace
}  // namespace hailstone::api
