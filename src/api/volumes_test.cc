#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using volume::Role;

TEST(Volumes, AreCreatedShownChangedAndDeleted) {
  ApiCell api;
  const auto made = api.post("volumes", R"({"name":"debian","settings":{"grace_seconds":5,"description":"x"}})");
  ASSERT_EQ(made.status, 201) << made.message();
  EXPECT_EQ(made.body["name"], "debian");
  EXPECT_EQ(made.body["settings"]["grace_seconds"], 5);
  EXPECT_EQ(made.body["releases"], 0);
  EXPECT_EQ(made.body["channels"], Json::object());

  const auto changed = api.patch("volumes/debian", R"({"settings":{"public":false}})");
  ASSERT_EQ(changed.status, 200) << changed.message();
  EXPECT_EQ(changed.body["settings"]["public"], false);
  EXPECT_EQ(changed.body["settings"]["description"], "x");
  EXPECT_EQ(api.get("volumes/debian").body, changed.body);
  EXPECT_EQ(api.get("volumes").body, (Json{{"volumes", {changed.body}}}));

  EXPECT_EQ(api.erase("volumes/debian").status, 400);
  EXPECT_EQ(api.erase("volumes/debian?confirm=other").status, 400);
  EXPECT_EQ(api.get("volumes/debian").status, 200);
  EXPECT_EQ(api.erase("volumes/debian?confirm=debian").status, 204);
  EXPECT_EQ(api.get("volumes/debian").status, 404);
  EXPECT_EQ(api.erase("volumes/debian?confirm=debian").status, 404);
}

TEST(Volumes, RefuseBadNamesSettingsAndTwins) {
  ApiCell api;
  EXPECT_EQ(api.post("volumes", R"({"name":"No"})").code(), "invalid");
  EXPECT_EQ(api.post("volumes", R"({})").message(), "field 'name' is missing");
  EXPECT_EQ(api.post("volumes", R"({"name":"abc","setings":{}})").message(),
            "unknown field 'setings'; did you mean 'settings'?");
  EXPECT_EQ(api.post("volumes", R"({"name":"abc","settings":{"gracee_seconds":1}})").message(),
            "unknown field 'settings.gracee_seconds'; did you mean 'grace_seconds'?");
  EXPECT_EQ(api.post("volumes", "not json").status, 400);
  EXPECT_EQ(api.post("volumes", R"({"name":"abc"})").status, 201);
  const auto twin = api.post("volumes", R"({"name":"abc"})");
  EXPECT_EQ(twin.status, 409);
  EXPECT_EQ(twin.code(), "exists");
  EXPECT_EQ(api.patch("volumes/abc", "{}").message(), "field 'settings' is missing");
  EXPECT_EQ(api.patch("volumes/absent", R"({"settings":{}})").status, 404);
}

TEST(Volumes, ARetriedCreationIsOneCreation) {
  ApiCell api;
  const std::vector<std::pair<Bytes, Bytes>> retry{{"Idempotency-Key", "k1"}};
  const auto once = api.as(api.admin, http::Method::Post, "volumes", R"({"name":"abc"})", retry);
  const auto again = api.as(api.admin, http::Method::Post, "volumes", R"({"name":"abc"})", retry);
  EXPECT_EQ(once.status, 201);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(once.body, again.body);
  EXPECT_EQ(api.as(api.admin, http::Method::Post, "volumes", R"({"name":"abc"})", {{"Idempotency-Key", "k2"}}).status,
            409);
  EXPECT_EQ(api.as(api.admin, http::Method::Post, "volumes", "{}", {{"Idempotency-Key", ""}}).status, 400);
  EXPECT_EQ(api.as(api.admin, http::Method::Post, "volumes", "{}", {{"Idempotency-Key", Bytes(129, 'k')}}).status, 400);
}

TEST(Volumes, TwoHoldersOfOneNameDoNotShareRetries) {
  ApiCell api;
  const Bytes first = api.key("twin", Role::Admin, {"*"}), second = api.key("twin", Role::Admin, {"*"});
  const std::vector<std::pair<Bytes, Bytes>> retry{{"Idempotency-Key", "k"}};
  EXPECT_EQ(api.as(first, http::Method::Post, "volumes", R"({"name":"one"})", retry).status, 201);
  EXPECT_EQ(api.as(second, http::Method::Post, "volumes", R"({"name":"two"})", retry).status, 201);
  EXPECT_EQ(api.get("volumes/two").status, 200);
}

TEST(Volumes, TheListHasWhatTheKeyCovers) {
  ApiCell api;
  for (const char* name : {"one", "two"}) api.cell.create(name);
  const auto listed = api.as(api.key("r", Role::Reader, {"two", "ghost"}), http::Method::Get, "volumes");
  ASSERT_EQ(listed.body["volumes"].size(), 1u);
  EXPECT_EQ(listed.body["volumes"][0]["name"], "two");
}

TEST(Volumes, AScopedAdminMakesOnlyItsOwn) {
  ApiCell api;
  const Bytes scoped = api.key("s", Role::Admin, {"mine"});
  EXPECT_EQ(api.as(scoped, http::Method::Post, "volumes", R"({"name":"mine"})").status, 201);
  const auto other = api.as(scoped, http::Method::Post, "volumes", R"({"name":"other"})");
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(other.code(), "denied");
}

TEST(Volumes, AreClonedWithTheSourcesSettings) {
  ApiCell api;
  api.cell.create("source", {.grace_seconds = 9, .description = "d"});
  api.cell.put("source", "a", "content");
  ASSERT_EQ(api.post("publish", R"({"items":[{"volume":"source"}]})").status, 200);
  const auto made =
      api.post("volumes", R"({"name":"copy","clone":{"volume":"source","release":null},"settings":{"overlay":false}})");
  ASSERT_EQ(made.status, 201) << made.message();
  EXPECT_EQ(made.body["channels"], (Json{{"current", 1}}));
  EXPECT_EQ(made.body["keys"], 1);
  EXPECT_EQ(made.body["bytes"], 7);
  EXPECT_EQ(made.body["settings"]["grace_seconds"], 9);
  EXPECT_EQ(made.body["settings"]["overlay"], false);
  EXPECT_EQ(api.get("targets/copy/entry?key=a").body["size"], 7);
  EXPECT_EQ(api.post("volumes", R"({"name":"copy2","clone":{"volume":"source","release":5}})").status, 404);
  EXPECT_EQ(api.post("volumes", R"({"name":"copy2","clone":{"volume":"ghost"}})").status, 404);
  EXPECT_EQ(api.as(api.key("s", Role::Admin, {"mine"}), http::Method::Post, "volumes",
                   R"({"name":"mine","clone":{"volume":"source"}})")
                .status,
            403);
}

}  // namespace
}  // namespace hailstone::api
