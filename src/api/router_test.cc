#include "api/router.h"

#include <gtest/gtest.h>

#include <set>

namespace hailstone::api {
namespace {

using enum http::Method;

struct Row {
  http::Method method;
  const char* path;
  Route route;
  std::map<std::string_view, Bytes> segments;
};

TEST(Router, FindsEveryEndpoint) {
  const Row rows[] = {
      {Get, "public-key", Route::PublicKey, {}},
      {Get, "status", Route::Status, {}},
      {Get, "config", Route::Config, {}},
      {Get, "volumes", Route::ListVolumes, {}},
      {Post, "volumes", Route::CreateVolume, {}},
      {Get, "volumes/debian", Route::GetVolume, {{"volume", "debian"}}},
      {Patch, "volumes/debian", Route::ChangeVolume, {{"volume", "debian"}}},
      {Delete, "volumes/debian", Route::DeleteVolume, {{"volume", "debian"}}},
      {Get, "volumes/debian/drafts", Route::ListDrafts, {{"volume", "debian"}}},
      {Post, "volumes/debian/drafts", Route::OpenDraft, {{"volume", "debian"}}},
      {Get, "volumes/debian/drafts/7", Route::GetDraft, {{"volume", "debian"}, {"draft", "7"}}},
      {Delete, "volumes/debian/drafts/7", Route::DropDraft, {{"volume", "debian"}, {"draft", "7"}}},
      {Get, "volumes/debian/drafts/7/diff", Route::DiffDraft, {{"volume", "debian"}, {"draft", "7"}}},
      {Get, "volumes/debian/releases", Route::ListReleases, {{"volume", "debian"}}},
      {Get, "volumes/debian/releases/3", Route::GetRelease, {{"volume", "debian"}, {"release", "3"}}},
      {Get, "volumes/debian/diff", Route::DiffReleases, {{"volume", "debian"}}},
      {Put,
       "volumes/debian/releases/3/tags/v1",
       Route::PutTag,
       {{"volume", "debian"}, {"release", "3"}, {"tag", "v1"}}},
      {Delete,
       "volumes/debian/releases/3/tags/v1",
       Route::DeleteTag,
       {{"volume", "debian"}, {"release", "3"}, {"tag", "v1"}}},
      {Put,
       "volumes/debian/releases/3/holds/audit",
       Route::PutHold,
       {{"volume", "debian"}, {"release", "3"}, {"hold", "audit"}}},
      {Delete,
       "volumes/debian/releases/3/holds/audit",
       Route::DeleteHold,
       {{"volume", "debian"}, {"release", "3"}, {"hold", "audit"}}},
      {Get, "volumes/debian/channels", Route::ListChannels, {{"volume", "debian"}}},
      {Get, "targets/debian/list", Route::List, {{"target", "debian"}}},
      {Get, "targets/debian%40draft-7/list", Route::List, {{"target", "debian@draft-7"}}},
      {Get, "targets/debian@42/entry", Route::GetEntry, {{"target", "debian@42"}}},
      {Get, "targets/debian/content", Route::GetContent, {{"target", "debian"}}},
      {Head, "targets/debian/content", Route::GetContent, {{"target", "debian"}}},
      {Put, "targets/debian/content", Route::PutContent, {{"target", "debian"}}},
      {Delete, "targets/debian/content", Route::DeleteContent, {{"target", "debian"}}},
      {Post, "targets/debian/batch", Route::Batch, {{"target", "debian"}}},
      {Post, "targets/debian/upload", Route::Upload, {{"target", "debian"}}},
      {Get, "targets/debian/token", Route::Token, {{"target", "debian"}}},
      {Get, "targets/debian/manifest", Route::Manifest, {{"target", "debian"}}},
      {Post, "targets/debian/fetch", Route::Fetch, {{"target", "debian"}}},
      {Get, "targets/debian%2Fodd/search", Route::Search, {{"target", "debian/odd"}}},
      {Post, "publish", Route::Publish, {}},
      {Post, "flip", Route::Flip, {}},
      {Post, "rollback", Route::Rollback, {}},
      {Post, "revert", Route::Revert, {}},
      {Get, "keys", Route::ListAccessKeys, {}},
      {Post, "keys", Route::CreateAccessKey, {}},
      {Delete, "keys/HS0123", Route::DeleteAccessKey, {{"id", "HS0123"}}},
      {Get, "upkeep", Route::UpkeepStatus, {}},
      {Post, "upkeep", Route::AskUpkeep, {}},
      {Get, "chunks/00ff/why", Route::WhyChunk, {{"chunk", "00ff"}}},
      {Get, "targets/debian@3/why", Route::WhyTarget, {{"target", "debian@3"}}},
      {Get, "audit", Route::ListAudit, {}},
      {Get, "volumes/debian/trash", Route::ListTrash, {{"volume", "debian"}}},
      {Delete, "volumes/debian/releases/3", Route::TrashRelease, {{"volume", "debian"}, {"release", "3"}}},
      {Post, "volumes/debian/releases/3/restore", Route::RestoreRelease, {{"volume", "debian"}, {"release", "3"}}},
      {Get, "cluster", Route::ClusterStatus, {}},
      {Put, "cluster/stores/3", Route::UseStore, {{"node", "3"}}},
      {Delete, "cluster/nodes/3", Route::RemoveNode, {{"node", "3"}}},
      {Post, "cluster/nodes/3/replace", Route::ReplaceNode, {{"node", "3"}}},
  };
  std::set<Route> seen;
  for (const Row& row : rows) {
    const auto found = match(row.method, Bytes(kPrefix) + row.path);
    ASSERT_TRUE(found) << row.path << ": " << found.error().error.message;
    EXPECT_EQ(found->endpoint->route, row.route) << row.path;
    EXPECT_EQ(found->segments, row.segments) << row.path;
    seen.insert(row.route);
  }
  EXPECT_EQ(seen.size(), endpoints().size()) << "an endpoint has no row above";
}

TEST(Router, RefusesWhatIsNoEndpoint) {
  for (const char* path : {"/", "/api/v1", "/api/v2/volumes", "/api/v1/", "/api/v1/volume", "/api/v1/volumes/",
                           "/api/v1/volumes//drafts", "/api/v1/volumes/a/drafts/7/diff/x", "/api/v1/targets/a",
                           "/api/v1/targets//list", "/api/v1//status", "/API/v1/status"}) {
    const auto found = match(Get, path);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().error.code, Code::NotFound) << path;
    EXPECT_EQ(found.error().allow, "") << path;
  }
}

TEST(Router, NamesTheMethodsOfAPath) {
  const auto found = match(Post, "/api/v1/targets/debian/content");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().error.code, Code::Unsupported);
  EXPECT_EQ(found.error().allow, "GET, HEAD, PUT, DELETE");
  EXPECT_EQ(match(Other, "/api/v1/status").error().allow, "GET, HEAD");
  EXPECT_EQ(match(Head, "/api/v1/publish").error().allow, "POST");
}

TEST(Router, RefusesMalformedEscapes) {
  for (const char* path : {"/api/v1/targets/a%4/list", "/api/v1/targets/%zz/list", "/api/v1/%/list"}) {
    const auto found = match(Get, path);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().error.code, Code::Invalid) << path;
  }
}

TEST(Router, NoTwoEndpointsAreTheSame) {
  std::set<std::pair<http::Method, std::string_view>> seen;
  for (const Endpoint& endpoint : endpoints()) {
    EXPECT_TRUE(seen.emplace(endpoint.method, endpoint.pattern).second) << endpoint.pattern;
    EXPECT_NE(endpoint.method, Head) << endpoint.pattern;
  }
}

TEST(Query, DecodesWhatItKnows) {
  const auto query = Query::parse("prefix=a%2Fb+c&limit=12&delimiter=", "prefix limit delimiter");
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->text("prefix"), "a/b c");
  EXPECT_EQ(query->text("delimiter"), "");
  EXPECT_EQ(query->text("after"), std::nullopt);
  EXPECT_EQ(query->number("limit", 1, 100, 7), 12u);
  EXPECT_EQ(query->number("before", 1, 100, 7), 7u);
  EXPECT_EQ(query->required("prefix"), "a/b c");
  EXPECT_EQ(query->required("delimiter").error().message, "query parameter 'delimiter' is missing");
}

TEST(Query, RefusesTheUnknownTheDoubledAndTheMalformed) {
  EXPECT_EQ(Query::parse("limt=1", "prefix limit").error().message,
            "unknown query parameter 'limt'; did you mean 'limit'?");
  EXPECT_EQ(Query::parse("zzzzzz=1", "prefix limit").error().message, "unknown query parameter 'zzzzzz'");
  EXPECT_EQ(Query::parse("x=1", "").error().message, "unknown query parameter 'x'");
  EXPECT_EQ(Query::parse("limit=1&limit=2", "limit").error().message, "query parameter 'limit' is there twice");
  EXPECT_EQ(Query::parse("limit=%1", "limit").error().code, Code::Invalid);
}

TEST(Query, NumbersAreDigitsWithinTheirRange) {
  for (const char* text : {"", "0", "11", "-1", "+1", "1x", "0x1", "1.0", " 1", "99999999999999999999"}) {
    const auto query = Query::parse("limit=" + percent_encode(text), "limit");
    ASSERT_TRUE(query);
    EXPECT_EQ(query->number("limit", 1, 10, 5).error().code, Code::Invalid) << text;
  }
}

TEST(Nearest, MeansTheClosestWordWithinReason) {
  const std::string_view known[] = {"overlay", "grace_seconds", "public", "checks"};
  EXPECT_EQ(nearest("grace", known), std::nullopt);
  EXPECT_EQ(nearest("grace_secs", known), "grace_seconds");
  EXPECT_EQ(nearest("pubic", known), "public");
  EXPECT_EQ(nearest("check", known), "checks");
  EXPECT_EQ(nearest("compression", known), std::nullopt);
  EXPECT_EQ(nearest(Bytes(100, 'x'), known), std::nullopt);
}

}  // namespace
}  // namespace hailstone::api
