#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using enum http::Method;

TEST(Node, AnybodyMayHaveThePublicKey) {
  ApiCell api;
  const auto key = api.as({}, Get, "public-key");
  ASSERT_EQ(key.status, 200);
  EXPECT_EQ(key.body["public_key"], api.signing.public_key().hex());
  EXPECT_EQ(key.body["key_id"], api.signing.public_key().hex().substr(0, 16));
  EXPECT_TRUE(key.body["pem"].get<std::string>().starts_with("-----BEGIN PUBLIC KEY-----"));
}

TEST(Node, StatusTellsWhatTheServerKnows) {
  ApiCell api;
  api.cell.create("vol");
  const auto status = api.get("status");
  ASSERT_EQ(status.status, 200);
  EXPECT_EQ(status.body["node"], "node-1");
  EXPECT_EQ(status.body["volumes"], 1);
  EXPECT_EQ(status.body["applied_slot"], 9);
  EXPECT_EQ(status.body["free_bytes"], 1000);
  EXPECT_EQ(status.body["quarantine"][0]["where"], "segment 17: record at 4096");
}

TEST(Node, ConfigIsPassedOn) {
  ApiCell api;
  EXPECT_EQ(api.get("config").body, Json::parse(R"({"http":{"port":7000}})"));
}

TEST(Node, UnknownPathsMethodsAndCredentialsAreTold) {
  ApiCell api;
  EXPECT_EQ(api.get("nowhere").status, 404);
  const auto method = api.post("status", "{}");
  EXPECT_EQ(method.status, 405);
  EXPECT_NE(method.headers.find("Allow: GET, HEAD\r\n"), Bytes::npos);
  EXPECT_EQ(api.as("Bearer no:body", Get, "public-key").status, 401) << "wrong credentials are wrong everywhere";
  EXPECT_EQ(api.as({}, Get, "status").status, 401);
  EXPECT_EQ(api.get("status?verbose=1").status, 400);
}

}  // namespace
}  // namespace hailstone::api
