#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "api/testing_server.h"
#include "mirror/wire.h"

namespace hailstone::api {
namespace {

using testing::ServedCell;

TEST(Served, JsonGoesInAndComesOut) {
  ServedCell cell;
  const auto client = cell.client();
  const auto made = cell.send(*client, "POST", "volumes", R"({"name":"vol"})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.field("Content-Type"), "application/json");
  EXPECT_EQ(made.field("Cache-Control"), "no-store");
  EXPECT_EQ(cell.send(*client, "PUT", "targets/vol/content?key=a", "x").status, 200);
  EXPECT_EQ(cell.send(*client, "POST", "publish", R"({"items":[{"volume":"vol"}]})").json()["releases"][0]["release"],
            1);
  EXPECT_EQ(cell.send(*client, "GET", "targets/vol@1/list").json()["entries"][0]["key"], "a");
  EXPECT_EQ(cell.send(*client, "DELETE", "targets/vol/content?key=a").status, 204);
  const auto head = cell.send(*client, "HEAD", "volumes");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST(Served, BodiesBeyondTheirLimitAre413) {
  ServedCell cell;
  const Bytes long_body = R"({"name":")" + Bytes(70'000, 'x') + "\"}";
  EXPECT_EQ(cell.send("POST", "volumes", long_body).status, 413);
  cell.api.cell.create("vol");
  EXPECT_EQ(cell.send("POST", "targets/vol/batch", Bytes((8 << 20) + 1, ' ')).status, 413);
}

TEST(Served, AFullPoolIs503AndLater) {
  ServedCell cell({.threads = 1, .queue_max = 1});
  std::latch running(1), release(1);
  std::move_only_function<void()> blocker = [&] {
    running.count_down();
    release.wait();
  };
  std::move_only_function<void()> filler = [] {};
  ASSERT_TRUE(cell.pool.submit(blocker));
  running.wait();
  ASSERT_TRUE(cell.pool.submit(filler));
  for (const auto& [method, path] :
       std::vector<std::pair<Bytes, Bytes>>{{"GET", "volumes"}, {"PUT", "targets/vol/content?key=a"}}) {
    const auto refused = cell.send(method, path);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.field("Retry-After"), "1");
    EXPECT_EQ(refused.json()["error"]["code"], "unavailable");
  }
  release.count_down();
}

TEST(Served, PublishesThatWaitLeaveTheReadersTheirThreads) {
  ServedCell cell({.threads = 1});
  cell.api.cell.create("vol");
  cell.api.cell.put("vol", "a", "x");
  auto busy = cell.api.cell.repository.lock_volume((*cell.api.cell.repository.volume("vol"))->record.id);
  std::vector<std::thread> publishers;
  for (int i = 0; i < 5; ++i)
    publishers.emplace_back(
        [&] { EXPECT_EQ(cell.send("POST", "publish", R"({"items":[{"volume":"vol"}]})").status, 200); });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(cell.send("GET", "targets/vol/content?key=a").body, "x");
  busy.unlock();
  for (auto& publisher : publishers) publisher.join();
}

TEST(Served, AnUploadOfTenThousandEntries) {
  ServedCell cell;
  cell.api.cell.create("vol");
  mirror::WireEncoder wire;
  for (int i = 0; i < 10'000; ++i)
    ASSERT_TRUE(wire.put_inline("dir/file-" + std::to_string(i), {}, Bytes(400, 'a') + std::to_string(i)));
  wire.end();
  const auto done = cell.send("POST", "targets/vol/upload", wire.take());
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(done.json()["puts"], 10'000);
  EXPECT_EQ(done.json()["token"], cell.send("GET", "targets/vol/token").json()["token"]);
  EXPECT_EQ(cell.send("GET", "targets/vol/content?key=dir/file-777").body, Bytes(400, 'a') + "777");
  EXPECT_EQ(cell.send("GET", "targets/vol/list?limit=10000").json()["entries"].size(), 10'000u);
}

TEST(Served, MalformedUploadsAreRefusedAndLeaveNothing) {
  ServedCell cell;
  cell.api.cell.create("vol");
  mirror::WireEncoder wire;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(wire.put_inline("file-" + std::to_string(i), {}, "x"));
  wire.end();
  Bytes stream = wire.take();
  EXPECT_EQ(cell.send("POST", "targets/vol/upload", "").status, 400);
  EXPECT_EQ(cell.send("POST", "targets/vol/upload", "garbage, and more of it").status, 400);
  EXPECT_EQ(cell.send("POST", "targets/vol/upload", ByteView(stream).substr(0, stream.size() - 1)).status, 400);
  stream[stream.size() / 2] ^= 1;
  const auto damaged = cell.send("POST", "targets/vol/upload", stream);
  EXPECT_EQ(damaged.status, 400);
  EXPECT_EQ(damaged.json()["error"]["code"], "invalid");
  EXPECT_EQ(cell.send("GET", "targets/vol/list").json()["entries"], Json::array());
  EXPECT_EQ(cell.send("POST", "targets/ghost/upload", stream).status, 404);
}

}  // namespace
}  // namespace hailstone::api
