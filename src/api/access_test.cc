#include "api/access.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using volume::Role;

// Who may do what, said again by hand: the router's table is held against it. Columns: nobody, reader, writer,
// publisher and admin of this volume, the same of another volume (best of them), reader and admin of all volumes.
// '.' allowed, '1' 401, '3' 403.
struct Row {
  const char* method;
  const char* path;
  const char* verdicts;
};

constexpr Row kMatrix[] = {
    //                                              nobody
    //                                              | reader writer publisher admin
    //                                              | |||| admin of another volume
    //                                              | |||| | reader, admin of all
    {"GET", "public-key", ". .... . .."},
    {"GET", "status", "1 3333 3 .."},
    {"GET", "config", "1 3333 3 3."},
    {"GET", "upkeep", "1 3333 3 .."},
    {"POST", "upkeep", "1 3333 3 3."},
    {"GET", "chunks/00ff/why", "1 3333 3 .."},
    {"GET", "targets/shown@3/why", "1 3333 3 .."},
    {"GET", "audit", "1 3333 3 3."},
    {"GET", "cluster", "1 3333 3 3."},
    {"PUT", "cluster/stores/3", "1 3333 3 3."},
    {"DELETE", "cluster/nodes/3", "1 3333 3 3."},
    {"POST", "cluster/nodes/3/replace", "1 3333 3 3."},
    {"GET", "volumes/shown/trash", "1 3333 3 .."},
    {"DELETE", "volumes/hidden/releases/3", "1 33.. 3 3."},
    {"POST", "volumes/hidden/releases/3/restore", "1 33.. 3 3."},
    {"GET", "volumes", "1 .... . .."},
    {"POST", "volumes", "1 333. . 3."},
    {"GET", "volumes/hidden", "1 .... 3 .."},
    {"GET", "volumes/shown", "1 3333 3 .."},
    {"PATCH", "volumes/hidden", "1 333. 3 3."},
    {"DELETE", "volumes/hidden", "1 333. 3 3."},
    {"GET", "volumes/hidden/drafts", "1 .... 3 .."},
    {"POST", "volumes/hidden/drafts", "1 3... 3 3."},
    {"GET", "volumes/hidden/drafts/7", "1 .... 3 .."},
    {"DELETE", "volumes/hidden/drafts/7", "1 3... 3 3."},
    {"GET", "volumes/hidden/drafts/7/diff", "1 .... 3 .."},
    {"GET", "volumes/shown/drafts/7/diff", "1 3333 3 .."},
    {"GET", "volumes/hidden/releases", "1 .... 3 .."},
    {"GET", "volumes/shown/releases", ". .... . .."},
    {"GET", "volumes/absent/releases", "1 3333 3 .."},
    {"GET", "volumes/hidden/releases/3", "1 .... 3 .."},
    {"GET", "volumes/shown/releases/3", ". .... . .."},
    {"GET", "volumes/hidden/diff", "1 .... 3 .."},
    {"GET", "volumes/shown/diff", ". .... . .."},
    {"PUT", "volumes/hidden/releases/3/tags/t", "1 33.. 3 3."},
    {"DELETE", "volumes/hidden/releases/3/tags/t", "1 33.. 3 3."},
    {"PUT", "volumes/hidden/releases/3/holds/h", "1 33.. 3 3."},
    {"DELETE", "volumes/hidden/releases/3/holds/h", "1 33.. 3 3."},
    {"PUT", "volumes/shown/releases/3/tags/t", "1 3333 3 3."},
    {"GET", "volumes/hidden/channels", "1 .... 3 .."},
    {"GET", "volumes/shown/channels", ". .... . .."},
    {"GET", "targets/hidden/list", "1 .... 3 .."},
    {"GET", "targets/hidden@draft-7/list", "1 .... 3 .."},
    {"GET", "targets/hidden@3/list", "1 .... 3 .."},
    {"GET", "targets/shown/list", "1 3333 3 .."},
    {"GET", "targets/shown@draft-7/list", "1 3333 3 .."},
    {"GET", "targets/shown@3/list", ". .... . .."},
    {"GET", "targets/shown@stable/entry", ". .... . .."},
    {"GET", "targets/shown@3/content", ". .... . .."},
    {"HEAD", "targets/shown@3/content", ". .... . .."},
    {"GET", "targets/absent@3/content", "1 3333 3 .."},
    {"PUT", "targets/hidden/content", "1 3... 3 3."},
    {"PUT", "targets/shown@3/content", "1 3333 3 3."},
    {"DELETE", "targets/hidden/content", "1 3... 3 3."},
    {"POST", "targets/hidden/batch", "1 3... 3 3."},
    {"POST", "targets/hidden/upload", "1 3... 3 3."},
    {"GET", "targets/hidden/token", "1 .... 3 .."},
    {"GET", "targets/shown@3/token", ". .... . .."},
    {"GET", "targets/hidden/manifest", "1 .... 3 .."},
    {"GET", "targets/shown@3/manifest", ". .... . .."},
    {"POST", "targets/hidden/fetch", "1 .... 3 .."},
    {"POST", "targets/shown@3/fetch", ". .... . .."},
    {"GET", "targets/hidden/search", "1 .... 3 .."},
    {"GET", "targets/shown/search", ". .... . .."},
    {"GET", "targets/shown@draft-7/search", "1 3333 3 .."},
    {"POST", "publish", "1 33.. . 3."},
    {"POST", "flip", "1 33.. . 3."},
    {"POST", "rollback", "1 33.. . 3."},
    {"POST", "revert", "1 33.. . 3."},
    {"GET", "keys", "1 3333 3 3."},
    {"POST", "keys", "1 3333 3 3."},
    {"DELETE", "keys/HS1", "1 3333 3 3."},
};

Identity holder(Role role, Bytes volume) {
  volume::AccessKey key;
  key.role = role;
  key.volumes = {std::move(volume)};
  return {std::make_shared<const volume::AccessKey>(key)};
}

http::Method method(std::string_view name) {
  using enum http::Method;
  if (name == "GET") return Get;
  if (name == "HEAD") return http::Method::Head;
  if (name == "PUT") return Put;
  if (name == "POST") return Post;
  if (name == "PATCH") return Patch;
  return Delete;
}

TEST(Access, MatrixOfRolesAndRoutes) {
  volume::State state;
  for (const auto& [name, open] : {std::pair<Bytes, bool>{"hidden", false}, {"shown", true}}) {
    auto v = std::make_shared<volume::Volume>();
    v->record.name = name;
    v->record.settings.public_read = open;
    state.volumes.change()[name] = v;
  }
  const Identity callers[] = {{},
                              holder(Role::Reader, "hidden"),
                              holder(Role::Writer, "hidden"),
                              holder(Role::Publisher, "hidden"),
                              holder(Role::Admin, "hidden"),
                              holder(Role::Admin, "other"),
                              holder(Role::Reader, "*"),
                              holder(Role::Admin, "*")};
  std::set<Route> seen;
  for (const Row& row : kMatrix) {
    const auto found = match(method(row.method), Bytes(kPrefix) + row.path);
    ASSERT_TRUE(found) << row.method << " " << row.path;
    seen.insert(found->endpoint->route);
    Bytes wanted = row.verdicts, got;
    std::erase(wanted, ' ');
    for (const Identity& caller : callers) {
      const Verdict verdict = authorize(*found, caller, state);
      got += verdict == Verdict::Allowed ? '.' : verdict == Verdict::WhoAreYou ? '1' : '3';
    }
    EXPECT_EQ(got, wanted) << row.method << " " << row.path;
  }
  EXPECT_EQ(seen.size(), endpoints().size()) << "an endpoint has no row above";
}

TEST(Access, AChannelCalledLikeADraftIsADraft) {
  EXPECT_FALSE(split_target("v@draft-7").release);
  EXPECT_FALSE(split_target("v@draft-").release);
  EXPECT_FALSE(split_target("v").release);
  EXPECT_TRUE(split_target("v@7").release);
  EXPECT_TRUE(split_target("v@").release);
  EXPECT_EQ(split_target("v@a@b").volume, "v");
}

}  // namespace
}  // namespace hailstone::api
