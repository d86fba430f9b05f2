#include <gtest/gtest.h>

#include "api/streams.h"
#include "api/testing_server.h"
#include "chunk/test_bytes.h"
#include "mirror/wire.h"

namespace hailstone::api {
namespace {

using testing::ServedCell;

struct Received {
  std::map<Bytes, volume::Entry> entries;
  std::map<Bytes, Bytes> contents;
  std::vector<Bytes> order;
};

Received decode(ByteView stream) {
  Received out;
  mirror::WireDecoder decoder;
  decoder.feed(stream);
  Bytes key;
  for (;;) {
    auto event = decoder.next();
    CHECK(event.has_value());
    if (!*event) break;
    if (auto* copy = std::get_if<mirror::WireCopy>(&**event)) {
      out.order.push_back(copy->key);
      out.entries[copy->key] = copy->entry;
    } else if (auto* put = std::get_if<mirror::WirePut>(&**event)) {
      key = put->key;
      out.order.push_back(key);
      out.entries[key] = put->entry;
      out.contents[key] = put->inlined.value_or("");
    } else if (auto* data = std::get_if<mirror::WireData>(&**event)) {
      out.contents[key] += data->bytes;
    } else if (auto* done = std::get_if<mirror::WireDone>(&**event)) {
      EXPECT_EQ(done->sha256, sha256(out.contents[key]));
    }
  }
  EXPECT_TRUE(decoder.finish());
  return out;
}

struct Downloads : ::testing::Test {
  ServedCell cell;
  std::map<Bytes, Bytes> files{{"a/empty", ""}, {"a/small", "small"}, {"b", Bytes(70'000, 'b')}, {"\xff", "raw"}};
  void SetUp() override {
    files["a/big"] = chunk::noise(6'000'000, 3);
    cell.api.cell.create("vol");
    for (const auto& [key, bytes] : files) cell.api.cell.put("vol", key, bytes);
  }
};

TEST_F(Downloads, AManifestNamesEveryEntry) {
  const auto answer = cell.send("GET", "targets/vol/manifest");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("Content-Type"), "application/vnd.hailstone.wire");
  const auto all = decode(answer.body);
  EXPECT_EQ(all.order, (std::vector<Bytes>{"a/big", "a/empty", "a/small", "b", "\xff"}));
  for (const auto& [key, bytes] : files) EXPECT_EQ(all.entries.at(key).content.sha256, sha256(bytes)) << key;
  EXPECT_EQ(decode(cell.send("GET", "targets/vol/manifest?prefix=a/").body).order.size(), 3u);
  EXPECT_EQ(decode(cell.send("GET", "targets/vol/manifest?prefix=zz").body).order.size(), 0u);
  EXPECT_EQ(cell.send("GET", "targets/ghost/manifest").status, 404);
  EXPECT_EQ(cell.send("HEAD", "targets/vol/manifest").status, 200);
}

TEST_F(Downloads, ALongManifestComesInPieces) {
  std::vector<volume::Put> puts;
  for (int i = 0; i < 20'000; ++i) puts.push_back({"many/" + std::to_string(i), cell.api.cell.file("x")});
  ASSERT_TRUE(cell.api.cell.repository.write(cell.api.cell.caller, cell.api.cell.target("vol"), {}, puts));
  EXPECT_EQ(decode(cell.send("GET", "targets/vol/manifest?prefix=many/").body).order.size(), 20'000u);
}

TEST_F(Downloads, FetchBringsContentsByKey) {
  const auto answer =
      cell.send("POST", "targets/vol/fetch", R"({"keys":["b","a/big","a/empty",{"key_base64":"/w=="}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto got = decode(answer.body);
  EXPECT_EQ(got.order, (std::vector<Bytes>{"b", "a/big", "a/empty", "\xff"})) << "in the order asked";
  for (const auto& [key, bytes] : got.contents) EXPECT_TRUE(bytes == files.at(key)) << key;
}

TEST_F(Downloads, FetchBringsContentsByPrefix) {
  const auto got = decode(cell.send("POST", "targets/vol/fetch", R"({"prefix":""})").body);
  EXPECT_TRUE(got.contents == files);
  EXPECT_EQ(decode(cell.send("POST", "targets/vol/fetch", R"({"prefix":"a/"})").body).order.size(), 3u);
  EXPECT_EQ(decode(cell.send("POST", "targets/vol/fetch", R"({"prefix_base64":"/w=="})").body).order.size(), 1u);
  EXPECT_EQ(decode(cell.send("POST", "targets/vol/fetch", R"({"keys":[]})").body).order.size(), 0u);
}

TEST_F(Downloads, FetchNamesWhatIsNotThereAndSendsNothing) {
  const auto answer = cell.send("POST", "targets/vol/fetch", R"({"keys":["b","ghost","c"]})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.json()["error"]["keys"], Json::array({"ghost", "c"}));
  for (const char* body :
       {"{}", R"({"keys":["b"],"prefix":""})", R"({"keys":[1]})", R"({"keys":[{"key":""}]})", R"({"kys":[]})"})
    EXPECT_EQ(cell.send("POST", "targets/vol/fetch", body).status, 400) << body;
}

TEST_F(Downloads, OneViewServesTheWholeAnswer) {
  auto call = prepare(
      cell.api.context,
      testing::Head(http::Method::Post, "/api/v1/targets/vol/fetch", {{"Authorization", cell.api.admin}}).get());
  ASSERT_TRUE(call);
  call->body = R"({"keys":["a/big","b"]})";
  auto producer = fetch(cell.api.context, *call);
  ASSERT_TRUE(producer);
  Bytes stream = std::get<Bytes>(**(*producer)->produce());
  cell.api.cell.remove("vol", "b");
  while (auto part = *(*producer)->produce()) stream += std::get<Bytes>(*part);
  EXPECT_TRUE(decode(stream).contents.at("b") == files["b"]);
}

TEST_F(Downloads, AReadErrorCutsTheStreamShort) {
  const ChunkId id(sha256(files["b"]));
  ASSERT_TRUE(cell.api.cell.chunks->erase(std::span(&id, 1)));
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/api/v1/targets/vol/fetch";
  request.headers.add("Authorization", cell.api.admin);
  request.body = R"({"prefix":""})";
  EXPECT_FALSE(cell.client()->fetch(request));
}

}  // namespace
}  // namespace hailstone::api
