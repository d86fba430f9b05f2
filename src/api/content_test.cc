#include <gtest/gtest.h>

#include <thread>

#include "api/streams.h"
#include "api/testing_server.h"
#include "chunk/test_bytes.h"

namespace hailstone::api {
namespace {

using testing::ServedCell;

struct Content : ::testing::Test {
  ServedCell cell;
  void SetUp() override { cell.api.cell.create("vol"); }
};

TEST_F(Content, ComesBackAsItWasPut) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{192}, size_t{193}, size_t{64 << 10}, (size_t{64} << 10) + 1,
                            kPieceBytes - 1, kPieceBytes, kPieceBytes + 1, size_t{9'000'000}}) {
    const Bytes bytes = chunk::noise(size, size);
    const auto put = cell.send("PUT", "targets/vol/content?key=a%2Fb.txt", bytes);
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(put.json()["etag"], sha256(bytes).hex());
    EXPECT_EQ(put.json()["size"], size);
    EXPECT_EQ(put.field("ETag"), "\"" + sha256(bytes).hex() + "\"");
    const auto got = cell.send("GET", "targets/vol/content?key=a%2Fb.txt");
    EXPECT_EQ(got.status, 200);
    EXPECT_TRUE(got.body == bytes) << size;
    EXPECT_EQ(got.field("ETag"), put.field("ETag"));
    EXPECT_EQ(got.field("Content-Type"), "text/plain; charset=utf-8");
    const auto head = cell.send("HEAD", "targets/vol/content?key=a%2Fb.txt");
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.body, "");
    EXPECT_EQ(head.field("Content-Length"), std::to_string(size));
  }
}

TEST_F(Content, HasTheTypeItsWriterGave) {
  cell.send("PUT", "targets/vol/content?key=a.txt&content_type=application%2Fx-own", "x");
  EXPECT_EQ(cell.send("GET", "targets/vol/content?key=a.txt").field("Content-Type"), "application/x-own");
}

TEST_F(Content, IsServedInRanges) {
  const Bytes bytes = chunk::noise(5'000'000, 1);
  cell.send("PUT", "targets/vol/content?key=big", bytes);
  cell.send("PUT", "targets/vol/content?key=small", "0123456789");
  const auto range = [&](const Bytes& key, const Bytes& value) {
    return cell.send("GET", "targets/vol/content?key=" + key, {}, {{"Range", value}});
  };
  const auto middle = range("big", "bytes=1000000-3999999");
  EXPECT_EQ(middle.status, 206);
  EXPECT_EQ(middle.field("Content-Range"), "bytes 1000000-3999999/5000000");
  EXPECT_TRUE(middle.body == bytes.substr(1'000'000, 3'000'000));
  EXPECT_EQ(range("small", "bytes=-3").body, "789");
  EXPECT_EQ(range("small", "bytes=2-2").body, "2");
  const auto beyond = range("small", "bytes=10-");
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.field("Content-Range"), "bytes */10");
  EXPECT_EQ(range("small", "bytes=0-1,4-5").status, 200) << "several ranges get the whole";
}

TEST_F(Content, AnswersConditions) {
  const Bytes etag = cell.send("PUT", "targets/vol/content?key=a", "x").field("ETag");
  const auto get = [&](const Bytes& name, const Bytes& value) {
    return cell.send("GET", "targets/vol/content?key=a", {}, {{name, value}}).status;
  };
  EXPECT_EQ(get("If-None-Match", etag), 304);
  EXPECT_EQ(get("If-None-Match", "\"other\""), 200);
  EXPECT_EQ(get("If-Match", etag), 200);
  EXPECT_EQ(get("If-Match", "\"other\""), 412);
  const Bytes modified = cell.send("GET", "targets/vol/content?key=a").field("Last-Modified");
  EXPECT_EQ(get("If-Modified-Since", modified), 304);
}

TEST_F(Content, IsWrittenUnderConditions) {
  const auto put = [&](const Bytes& bytes, const Bytes& name, const Bytes& value) {
    return cell.send("PUT", "targets/vol/content?key=a", bytes, {{name, value}});
  };
  EXPECT_EQ(put("1", "If-Match", "*").status, 412);
  const auto first = put("1", "If-None-Match", "*");
  EXPECT_EQ(first.status, 200);
  const auto lost = put("2", "If-None-Match", "*");
  EXPECT_EQ(lost.status, 412);
  EXPECT_EQ(lost.json()["error"]["code"], "conflict");
  EXPECT_EQ(put("2", "If-Match", first.field("ETag")).status, 200);
  EXPECT_EQ(put("3", "If-Match", first.field("ETag")).status, 412);
  EXPECT_EQ(cell.send("GET", "targets/vol/content?key=a").body, "2");
}

TEST_F(Content, OfSixteenExclusiveWritersOneWins) {
  for (int round = 0; round < 5; ++round) {
    const Bytes path = "targets/vol/content?key=race-" + std::to_string(round);
    std::atomic<int> won = 0, lost = 0;
    std::atomic<size_t> winner = 0;
    std::vector<std::thread> writers;
    for (size_t i = 0; i < 16; ++i)
      writers.emplace_back([&, i] {
        const auto put = cell.send("PUT", path, Bytes(i + 1, 'x'), {{"If-None-Match", "*"}});
        if (put.status == 200) winner = i + 1;
        ++(put.status == 200 ? won : lost);
        if (put.status != 200) EXPECT_EQ(put.status, 412) << put.body;
      });
    for (auto& writer : writers) writer.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 15);
    EXPECT_EQ(cell.send("GET", path).body.size(), winner);
  }
}

TEST_F(Content, ARetriedWriteSucceedsThoughItsConditionNoLongerHolds) {
  const std::vector<std::pair<Bytes, Bytes>> fields{{"If-None-Match", "*"}, {"Idempotency-Key", "k"}};
  const auto first = cell.send("PUT", "targets/vol/content?key=a", "x", fields);
  const auto again = cell.send("PUT", "targets/vol/content?key=a", "x", fields);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json(), first.json());
}

TEST_F(Content, RefusesBeforeItStores) {
  EXPECT_EQ(cell.send("PUT", "targets/vol/content", "x").status, 400);
  EXPECT_EQ(cell.send("PUT", "targets/ghost/content?key=a", "x").status, 404);
  EXPECT_EQ(cell.send("PUT", "targets/vol/content?key=" + Bytes(1025, 'k'), "x").status, 400);
  cell.send("PUT", "targets/vol/content?key=a", Bytes(300, 'a'));
  cell.api.cell.release("vol");
  const auto chunks = cell.api.cell.chunks->stats().chunks;
  EXPECT_EQ(cell.send("PUT", "targets/vol@1/content?key=a", Bytes(300, 'b')).status, 403);
  EXPECT_EQ(cell.send("PUT", "targets/vol@1/content?key=a", chunk::noise(3'000'000, 1)).status, 403);
  EXPECT_EQ(cell.api.cell.chunks->stats().chunks, chunks);
  EXPECT_EQ(cell.send("GET", "targets/vol/content?key=ghost").status, 404);
  EXPECT_EQ(cell.send("GET", "targets/vol@current/content?key=a").field("Hailstone-Release"), "1");
}

TEST_F(Content, OfABodyCutShortNothingIsSeen) {
  http::ClientRequest request;
  request.method = "PUT";
  request.target = "/api/v1/targets/vol/content?key=torn";
  request.headers.add("Authorization", cell.api.admin);
  request.body_length = 5'000'000;
  int pulls = 0;
  request.body_source = [&](char* out, size_t size) -> Result<size_t> {
    if (++pulls > 20) return fail(Code::Cancelled, "gone");
    std::memset(out, 'x', size);
    return std::min<size_t>(size, 10'000);
  };
  {
    const auto client = cell.client();
    EXPECT_FALSE(client->send(request));
  }
  EXPECT_EQ(cell.send("GET", "targets/vol/content?key=torn").status, 404);
}

TEST_F(Content, DamagedChunksAreNeverSent) {
  const Bytes bytes = chunk::noise(100'000, 9);
  cell.send("PUT", "targets/vol/content?key=a", bytes);
  const ChunkId id(sha256(bytes));
  ASSERT_TRUE(cell.api.cell.chunks->erase(std::span(&id, 1)));
  http::ClientRequest request;
  request.target = "/api/v1/targets/vol/content?key=a";
  request.headers.add("Authorization", cell.api.admin);
  EXPECT_FALSE(cell.client()->fetch(request)) << "the body must be cut short";
}

}  // namespace
}  // namespace hailstone::api
