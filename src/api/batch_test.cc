#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;
using volume::Role;
using enum http::Method;

struct Batch : ::testing::Test {
  ApiCell api;
  void SetUp() override {
    api.cell.create("vol");
    api.cell.put("vol", "old", "0");
  }
  Bytes content(const Bytes& target, const Bytes& key) {
    const auto entry = (*api.cell.repository.open(api.cell.target(target)))->get(key);
    if (!*entry) return "(absent)";
    return *chunk::read_content(*api.cell.chunks, (*entry)->content, 0, (*entry)->content.bytes, 1 << 20);
  }
};

TEST_F(Batch, EditsInOneStep) {
  const auto done = api.post("targets/vol/batch", R"({"edits":[{"key":"old","delete":true},
      {"key":"text","text":"grüße","content_type":"text/plain"},{"key":"raw","base64":"AP8="},
      {"key_base64":"/w==","text":""},{"key":"copy","copy_from":{"target":"vol","key":"old"}}]})");
  ASSERT_EQ(done.status, 200) << done.message();
  EXPECT_GT(done.body["position"], 0);
  EXPECT_EQ(done.body["token"], api.get("targets/vol/token").body["token"]);
  EXPECT_EQ(content("vol", "old"), "(absent)");
  EXPECT_EQ(content("vol", "text"), "grüße");
  EXPECT_EQ(content("vol", "raw"), Bytes("\0\xff", 2));
  EXPECT_EQ(content("vol", "\xff"), "");
  EXPECT_EQ(content("vol", "copy"), "0");
  EXPECT_EQ(api.get("targets/vol/entry?key=text").body["content_type"], "text/plain");
}

TEST_F(Batch, OneFailedPreconditionLeavesNothingDone) {
  const auto lost =
      api.post("targets/vol/batch", R"({"preconditions":[{"key":"old","etag":null},{"key":"ghost","etag":"x"},
      {"key":"free","etag":null}],"edits":[{"key":"new","text":"1"}]})");
  EXPECT_EQ(lost.status, 409);
  EXPECT_EQ(lost.body["error"]["keys"], Json::array({"old", "ghost"}));
  EXPECT_EQ(content("vol", "new"), "(absent)");
  const auto won =
      api.post("targets/vol/batch", Json{{"preconditions", {{{"key", "old"}, {"etag", sha256("0").hex()}}}},
                                         {"edits", {{{"key", "new"}, {"text", "1"}}}}}
                                        .dump());
  EXPECT_EQ(won.status, 200) << won.message();
}

TEST_F(Batch, ARetryIsRecognised) {
  const Bytes body = R"({"preconditions":[{"key":"new","etag":null}],"edits":[{"key":"new","text":"1"}]})";
  const auto send = [&](const char* key) {
    return api.as(api.admin, Post, "targets/vol/batch", body, {{"Idempotency-Key", key}});
  };
  const auto once = send("a");
  ASSERT_EQ(once.status, 200);
  EXPECT_EQ(send("a").body["position"], once.body["position"]);
  EXPECT_EQ(send("b").status, 409);
}

TEST_F(Batch, RefusesWhatMakesNoSense) {
  for (const auto& [body, message] : std::vector<std::pair<Bytes, Bytes>>{
           {"{}", "field 'edits' is missing"},
           {R"({"edits":[]})", "field 'edits' is empty"},
           {R"({"edits":[{"text":"x"}]})", "field 'edits[0].key' is refused: key is empty"},
           {R"({"edits":[{"key":"a"}]})",
            "field 'edits[0].key' takes exactly one of 'delete': true, 'text', 'base64' and 'copy_from'"},
           {R"({"edits":[{"key":"a","delete":false}]})",
            "field 'edits[0].key' takes exactly one of 'delete': true, 'text', 'base64' and 'copy_from'"},
           {R"({"edits":[{"key":"a","text":"","delete":true}]})",
            "field 'edits[0].key' takes exactly one of 'delete': true, 'text', 'base64' and 'copy_from'"},
           {R"({"edits":[{"key":"a","text":""},{"key":"a","text":""}]})",
            "field 'edits[1].key' is edited twice in one batch"},
           {R"({"edits":[{"key":"a","base64":"x"}]})",
            "field 'edits[0].base64' is not base64 (RFC 4648 section 4, with padding)"},
           {R"({"edits":[{"key":"a","txt":""}]})",
            "field 'edits[0].key' takes exactly one of 'delete': true, 'text', 'base64' and 'copy_from'"},
           {R"({"edits":[{"key":"a","text":"","x":1}]})", "unknown field 'edits[0].x'"},
           {R"({"edits":[{"key":"a","copy_from":{"target":"vol"}}]})",
            "field 'edits[0].copy_from.key' is refused: key is empty"},
           {R"({"edits":[{"key":"a","text":""}],"preconditions":[{"key":"a"}]})",
            "field 'preconditions[0].etag' is missing: an ETag, or null where the key must not exist"},
       }) {
    const auto refused = api.post("targets/vol/batch", body);
    EXPECT_EQ(refused.status, 400) << body;
    EXPECT_EQ(refused.message(), message) << body;
  }
  EXPECT_EQ(
      api.post("targets/vol/batch", R"({"edits":[{"key":"a","copy_from":{"target":"vol","key":"ghost"}}]})").status,
      404);
  EXPECT_EQ(api.post("targets/ghost/batch", R"({"edits":[{"key":"a","text":""}]})").status, 404);
  api.cell.release("vol");
  EXPECT_EQ(api.post("targets/vol@1/batch", R"({"edits":[{"key":"a","text":""}]})").status, 403);
}

TEST_F(Batch, CopiesOnlyWhatTheKeyMayRead) {
  api.cell.create("secret", {.public_read = false});
  api.cell.put("secret", "s", "s");
  api.cell.release("secret");
  api.cell.create("open");
  api.cell.put("open", "s", "s");
  api.cell.release("open");
  const Bytes key = api.key("w", Role::Writer, {"vol"});
  const auto copy = [&](const Bytes& from) {
    return api
        .as(key, Post, "targets/vol/batch",
            Json{{"edits", {{{"key", "a"}, {"copy_from", {{"target", from}, {"key", "s"}}}}}}}.dump())
        .status;
  };
  EXPECT_EQ(copy("secret"), 403);
  EXPECT_EQ(copy("secret@1"), 403);
  EXPECT_EQ(copy("ghost"), 403) << "whether it exists is not told";
  EXPECT_EQ(copy("open"), 403);
  EXPECT_EQ(copy("open@1"), 200);
}

}  // namespace
}  // namespace hailstone::api
