#include <sys/socket.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <random>
#include <thread>

#include "chunk/test_bytes.h"
#include "s3/testing.h"
#include "s3/upload_lanes.h"
#include "s3proto/checksum.h"

namespace hailstone::s3 {
namespace {

using chunk::noise;
using testing::EdgeRig;
using volume::Role;

constexpr chunk::CutOptions kCut{.min_bytes = 64u << 10, .average_bytes = 1u << 20, .max_bytes = 4u << 20};

// Refuses chunks from some byte on, as a full disk does; counts what it is given.
class FillingStore final : public chunk::ChunkStore {
 public:
  explicit FillingStore(uint64_t room) : room_(room) {}
  Result<ChunkId> put(ByteView bytes, chunk::Compress compress) override {
    if ((taken_ += bytes.size()) > room_) return fail(Code::Exhausted, "no room");
    return store_->put(bytes, compress);
  }
  Result<void> sync() override { return store_->sync(); }
  Result<chunk::SharedBytes> get(const ChunkId& id) override { return store_->get(id); }
  Result<chunk::Stat> stat(const ChunkId& id) override { return store_->stat(id); }
  Result<chunk::Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    return store_->extent(id, form, offset, length);
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override { return store_->has(ids); }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return store_->touch(ids); }
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t n) override { return store_->list(after, n); }
  Result<void> erase(std::span<const ChunkId> ids) override { return store_->erase(ids); }
  Stats stats() const override { return store_->stats(); }

 private:
  const uint64_t room_;
  std::atomic<uint64_t> taken_ = 0;
  std::unique_ptr<chunk::ChunkStore> store_ = chunk::make_memory_store();
};

// A serving thread of its own and the pool behind it.
struct LanesRig {
  template <class Coroutine>
  void serve(Coroutine coroutine) {
    http::asio::co_spawn(context.get_executor(), std::move(coroutine), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context.run();
    context.restart();
  }
  http::asio::io_context context{1};
  http::BlockingPool pool{{.threads = 3, .queue_max = 64}};
  std::shared_ptr<UploadMemory> memory = std::make_shared<UploadMemory>(4u << 20);
};

std::shared_ptr<Piece> filled(UploadMemory::Account& account, ByteView& rest, size_t most) {
  auto piece = account.take();
  piece->size = std::min({rest.size(), most, piece->capacity});
  std::copy_n(rest.data(), piece->size, piece->room.get());
  rest.remove_prefix(piece->size);
  return piece;
}

http::Task<void> upload(LanesRig& rig, std::shared_ptr<UploadLanes::Work> work, const Bytes& bytes, uint64_t seed,
                        Result<void>& outcome) {
  std::mt19937_64 random(seed);
  const auto lanes = std::make_shared<UploadLanes>(rig.context.get_executor(), rig.pool, work);
  const auto account = rig.memory->open();
  for (ByteView rest = bytes; !rest.empty() && outcome;) {
    if (random() % 16 == 0) lanes->end_chunk();
    lanes->push(filled(*account, rest, 1 + random() % (160u << 10)));
    outcome = co_await lanes->drain(account->window());
  }
  if (outcome) outcome = co_await lanes->drain(0);
}

TEST(UploadLanes, TakePiecesOfAnySizeInOrder) {
  LanesRig rig;
  const auto store = chunk::make_memory_store();
  const Bytes bytes = noise((40u << 20) + 12'345, 1);
  auto work = std::make_shared<UploadLanes::Work>(*store, kCut);
  work->sums.add(s3proto::ChecksumAlgorithm::Md5);
  work->sums.add(s3proto::ChecksumAlgorithm::Crc64nvme);
  Result<void> outcome;
  rig.serve(upload(rig, work, bytes, 2, outcome));
  ASSERT_TRUE(outcome) << outcome.error().message;
  work->sums.finish();
  EXPECT_EQ(work->sums.bytes(), bytes.size());
  for (auto algorithm : {s3proto::ChecksumAlgorithm::Md5, s3proto::ChecksumAlgorithm::Crc64nvme})
    EXPECT_EQ(work->sums.value(algorithm), s3proto::checksum(algorithm, bytes));
  const auto content = work->writer.finish();
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_EQ(content->sha256, sha256(bytes));
  EXPECT_EQ(chunk::read_content(*store, *content, 0, bytes.size(), bytes.size()).value(), bytes);
  EXPECT_EQ(rig.memory->bytes(), 0u);
  EXPECT_EQ(rig.memory->uploads(), 0u);
}

TEST(UploadLanes, TellWhatFailedAndLetGoOfEverything) {
  LanesRig rig;
  FillingStore store(5u << 20);
  const Bytes bytes = noise(40u << 20, 3);
  auto work = std::make_shared<UploadLanes::Work>(store, kCut);
  work->sums.add(s3proto::ChecksumAlgorithm::Md5);
  Result<void> outcome;
  rig.serve(upload(rig, work, bytes, 4, outcome));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::Exhausted);
  work.reset();
  EXPECT_EQ(rig.memory->bytes(), 0u);
}

TEST(UploadLanes, ARefusedJobEndsTheUpload) {
  LanesRig rig;
  http::BlockingPool full({.threads = 1, .queue_max = 0});
  const auto store = chunk::make_memory_store();
  auto work = std::make_shared<UploadLanes::Work>(*store, kCut);
  Result<void> outcome;
  rig.serve([](LanesRig& r, http::BlockingPool& pool, std::shared_ptr<UploadLanes::Work> w,
               Result<void>& out) -> http::Task<void> {
    const auto lanes = std::make_shared<UploadLanes>(r.context.get_executor(), pool, w);
    ByteView bytes = "some";
    lanes->push(filled(*r.memory->open(), bytes, 4));
    out = co_await lanes->drain(0);
  }(rig, full, work, outcome));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::Unavailable);
}

TEST(UploadMemory, IsSharedFairlyAndCountsToNothing) {
  constexpr uint64_t kMax = 8u << 20;
  const auto memory = std::make_shared<UploadMemory>(kMax);
  std::vector<std::shared_ptr<UploadMemory::Account>> accounts;
  std::vector<std::vector<std::shared_ptr<Piece>>> held(100);
  for (size_t i = 0; i < held.size(); ++i) accounts.push_back(memory->open());
  std::mt19937_64 random(5);
  for (int round = 0; round < 20'000; ++round) {
    const size_t i = random() % held.size();
    if (accounts[i]->must_let_go()) held[i].clear();
    held[i].push_back(accounts[i]->take());
    ASSERT_LE(memory->bytes(), kMax + held.size() * (64u << 10));
  }
  EXPECT_GE(memory->bytes(), kMax / 2);
  held.clear();
  EXPECT_EQ(memory->bytes(), 0u);
  accounts.clear();
  EXPECT_EQ(memory->uploads(), 0u);
}

TEST(UploadMemory, OneUploadMayTakeItAll) {
  const auto memory = std::make_shared<UploadMemory>(8u << 20);
  const auto account = memory->open();
  std::vector<std::shared_ptr<Piece>> held;
  while (!account->must_let_go()) held.push_back(account->take());
  EXPECT_EQ(memory->bytes(), 8u << 20);
}

struct UploadServer : ::testing::Test {
  EdgeRig rig;
  s3auth::Credentials admin = rig.key("admin", Role::Admin);
  void SetUp() override { ASSERT_EQ(rig.ask("PUT", "/vol", "", admin).status, 200); }
};

TEST_F(UploadServer, KeepsALargeBodyWithItsSums) {
  const Bytes bytes = noise((24u << 20) + 4097, 6);
  const Bytes crc = to_base64(s3proto::checksum(s3proto::ChecksumAlgorithm::Crc32c, bytes));
  const Bytes md5 = s3proto::checksum(s3proto::ChecksumAlgorithm::Md5, bytes);
  const auto put =
      rig.ask("PUT", "/vol/large", "", admin, bytes, {{"x-amz-checksum-crc32c", crc}, {"Content-MD5", to_base64(md5)}});
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(put.head.field("ETag"), "\"" + to_hex(md5) + "\"");
  const auto got = rig.ask("GET", "/vol/large", "", admin, {}, {{"x-amz-checksum-mode", "ENABLED"}});
  EXPECT_TRUE(got.body == bytes);
  EXPECT_EQ(got.head.field("ETag"), "\"" + to_hex(md5) + "\"");
  EXPECT_EQ(got.head.field("x-amz-checksum-crc32c"), crc);
}

TEST_F(UploadServer, RefusesALargeBodyThatIsNotWhatItsSumsSay) {
  const Bytes bytes = noise(3u << 20, 7);
  const Bytes other = to_base64(s3proto::checksum(s3proto::ChecksumAlgorithm::Md5, "other"));
  EXPECT_EQ(rig.ask("PUT", "/vol/large", "", admin, bytes, {{"Content-MD5", other}}).code, "BadDigest");
  EXPECT_EQ(rig.ask("GET", "/vol/large", "", admin).status, 404);
}

TEST_F(UploadServer, AClientThatGoesAwayLeavesNothingVisible) {
  for (const size_t sent : {size_t{0}, size_t{100}, size_t{700'000}, size_t{9'000'000}}) {
    rig.send_some("PUT", "/vol/gone", admin, noise(10u << 20, 8), sent);
    EXPECT_EQ(rig.ask("GET", "/vol/gone", "", admin).status, 404) << sent;
  }
  const Bytes bytes = noise(10u << 20, 9);
  EXPECT_EQ(rig.ask("PUT", "/vol/gone", "", admin, bytes).status, 200);
  EXPECT_TRUE(rig.ask("GET", "/vol/gone", "", admin).body == bytes);
}

}  // namespace
}  // namespace hailstone::s3
