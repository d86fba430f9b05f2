// The depot behind a real server: over sockets, on several threads, while releases flip.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <charconv>
#include <thread>

#include "base/logger.h"
#include "depot/depot.h"
#include "depot/rig_for_tests.h"
#include "http/client.h"
#include "http/server.h"

namespace hailstone::depot {
namespace {

class DepotServer : public ::testing::Test {
 protected:
  DepotServer() {
    cell_.create("repo");
    http::ServerOptions options;
    options.threads = 2;
    auto server = http::Server::listen(
        options,
        [this](unsigned) { return std::make_unique<Depot>(cell_.repository, extents_, authorizer_, pool_, options_); },
        logger_);
    EXPECT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
    server_->start();
  }
  ~DepotServer() override { server_->stop(); }

  http::Client client() {
    return http::Client(*http::BaseUrl::parse("http://127.0.0.1:" + std::to_string(server_->port())), {});
  }
  static http::Client::Whole fetch(http::Client& client, std::string target, http::HeaderBlock headers = {},
                                   std::string method = "GET") {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = std::move(headers);
    auto got = client.fetch(request);
    EXPECT_TRUE(got) << got.error().message;
    return got ? *std::move(got) : http::Client::Whole{};
  }

  testing::Cell cell_;
  chunk::ExtentCache extents_{cell_.repository.chunks(), {}};
  testing::OneKey authorizer_;
  Options options_;
  http::BlockingPool pool_{{.threads = 2, .queue_max = 16}};
  NullLogger logger_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(DepotServer, ServesFilesRangesAndHeadsOnOneConnection) {
  Bytes big;
  for (uint64_t i = 0; big.size() < (6u << 20); ++i) big += std::to_string(i * 7919);
  cell_.put("repo", "small", "small");
  cell_.put("repo", "big", big);
  cell_.release("repo");
  auto c = client();
  EXPECT_EQ(fetch(c, "/repo/small").body, "small");
  EXPECT_EQ(fetch(c, "/repo/big").body, big);
  const auto head = fetch(c, "/repo/big", {}, "HEAD");
  EXPECT_EQ(head.head.content_length, big.size());
  EXPECT_EQ(head.body, "");
  http::HeaderBlock range;
  range.add("Range", "bytes=4000000-4000009,-5");
  const auto parts = fetch(c, "/repo/big", range);
  EXPECT_EQ(parts.head.status, 206);
  EXPECT_NE(parts.body.find(big.substr(4'000'000, 10)), Bytes::npos);
  EXPECT_EQ(fetch(c, "/repo/none").head.status, 404);
  EXPECT_EQ(fetch(c, "/repo/").head.status, 200);
}

TEST_F(DepotServer, ADamagedChunkCutsTheBodyShort) {
  Bytes big;
  for (uint64_t i = 0; big.size() < (9u << 20); ++i) big += std::to_string(i * 7919);
  cell_.put("repo", "big", big);
  cell_.release("repo");
  auto c = client();
  ASSERT_EQ(fetch(c, "/repo/big").body, big);
  const auto found = find(cell_.store, cell_.root("repo"), "big");
  ASSERT_TRUE(cell_.chunks->erase(std::vector<ChunkId>{found->entry.content.refs[1].id}));
  http::ClientRequest request;
  request.target = "/repo/big";
  for (int attempt = 0; attempt < 4; ++attempt) {  // either thread may answer, knowing of the damage or not
    const auto got = c.fetch(request);
    if (got) EXPECT_EQ(got->head.status, 500);
  }
}

// Every file of a release holds its number. Readers on both threads: never an older release after a newer one was seen
// by anyone, never a mix behind a pinned path, never a 404 or 5xx.
TEST_F(DepotServer, FlipsAreSeenOnceAndForAll) {
  constexpr int kFlips = 200;
  constexpr std::array<std::string_view, 3> kFiles = {"a", "dir/b", "c"};
  const auto publish = [&](int i) {
    for (std::string_view file : kFiles) cell_.put("repo", Bytes(file), std::to_string(i));
    cell_.release("repo");
  };
  publish(1);
  std::atomic<int> newest{1};  // that anyone has seen
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::atomic<int> reads{0};
  const auto read = [&](size_t seed) {
    auto c = client();
    while (!done) {
      const int before = newest.load();
      const auto got = fetch(c, "/repo/" + Bytes(kFiles[seed++ % kFiles.size()]));
      int seen = 0;
      std::from_chars(got.body.data(), got.body.data() + got.body.size(), seen);
      if (got.head.status != 200 || seen < before) ++failures;
      for (int known = newest.load(); known < seen && !newest.compare_exchange_weak(known, seen);) {
      }
      const auto pinned = fetch(c, "/repo@" + std::to_string(seen) + "/" + Bytes(kFiles[seed % kFiles.size()]));
      if (pinned.head.status != 200 || pinned.body != got.body) ++failures;
      reads += 2;
      if (seed % 16 == 0) c.close();
    }
  };
  std::vector<std::thread> readers;
  for (size_t i = 0; i < 4; ++i) readers.emplace_back(read, i);
  for (int i = 2; i <= kFlips; ++i) publish(i);
  while (newest < kFlips && failures == 0) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(failures, 0);
  EXPECT_GT(reads, kFlips / 4);
}

}  // namespace
}  // namespace hailstone::depot
