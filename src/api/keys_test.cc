#include <gtest/gtest.h>

#include <thread>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using volume::Role;
using enum http::Method;

TEST(AccessKeys, AreMadeListedUsedAndRemoved) {
  ApiCell api;
  const auto made = api.post("keys", R"({"name":"ci","role":"writer","volumes":["vol"]})");
  ASSERT_EQ(made.status, 201) << made.message();
  const Bytes id = made.body["id"], secret = made.body["secret"];
  const auto listed = api.get("keys");
  ASSERT_EQ(listed.body["keys"].size(), 2u);
  EXPECT_EQ(dump(listed.body).find(secret), Bytes::npos);
  EXPECT_EQ(dump(listed.body).find("hash"), Bytes::npos);

  api.cell.create("vol");
  const Bytes bearer = "Bearer " + id + ":" + secret;
  EXPECT_EQ(api.as(bearer, Get, "targets/vol/list").status, 200);
  EXPECT_EQ(api.erase("keys/" + id).status, 204);
  const auto after = api.as(bearer, Get, "targets/vol/list");
  EXPECT_EQ(after.status, 401);
  EXPECT_NE(after.headers.find("WWW-Authenticate"), Bytes::npos);
  EXPECT_EQ(api.erase("keys/" + id).status, 404);
}

TEST(AccessKeys, BadOnesAreRefused) {
  ApiCell api;
  for (const char* body :
       {"{}", R"({"name":"","role":"reader","volumes":["*"]})", R"({"name":"a","role":"king","volumes":["*"]})",
        R"({"name":"a","role":"reader"})", R"({"name":"a","role":"reader","volumes":[]})",
        R"({"name":"a","role":"reader","volumes":["A B"]})", R"({"name":"a","role":"reader","volumes":["*"],"x":1})"})
    EXPECT_EQ(api.post("keys", body).status, 400) << body;
}

TEST(AccessKeys, ARetryDoesNotHandOutASecretThatOpensNothing) {
  ApiCell api;
  const auto make = [&] {
    return api.as(api.admin, Post, "keys", R"({"name":"ci","role":"reader","volumes":["*"]})",
                  {{"Idempotency-Key", "k"}});
  };
  EXPECT_EQ(make().status, 201);
  const auto again = make();
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "exists");
  EXPECT_EQ(api.get("keys").body["keys"].size(), 2u);
}

TEST(AccessKeys, TheLastAdminStays) {
  ApiCell api;
  const Bytes id = api.get("keys").body["keys"][0]["id"];
  api.key("scoped", Role::Admin, {"vol"});
  api.key("reader", Role::Reader, {"*"});
  const auto refused = api.erase("keys/" + id);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(api.get("keys").body["keys"].size(), 3u);
  const Bytes second = api.key("second", Role::Admin, {"*"});
  EXPECT_EQ(api.erase("keys/" + id).status, 204);
  const Bytes second_id = second.substr(7, 20);
  EXPECT_EQ(api.as(second, Delete, "keys/" + second_id).status, 409);
}

TEST(AccessKeys, AdminsRemovingEachOtherAtOnceLeaveOne) {
  ApiCell api;
  std::vector<Bytes> keys{api.admin};
  for (int i = 0; i < 7; ++i) keys.push_back(api.key("a", Role::Admin, {"*"}));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < keys.size(); ++i)
    threads.emplace_back([&, i] { api.as(keys[i], Delete, "keys/" + keys[(i + 1) % keys.size()].substr(7, 20)); });
  for (auto& thread : threads) thread.join();
  EXPECT_GE(api.cell.repository.published().load()->keys->size(), 1u);
}

}  // namespace
}  // namespace hailstone::api
