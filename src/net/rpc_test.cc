#include "net/rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <map>

#include "net/memory_transport.h"
#include "net/testing.h"

namespace hailstone::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr NodeId kOne(1), kTwo(2);
constexpr uint16_t kEcho = 1, kHold = 2, kFail = 3;
constexpr auto kLong = 3'600'000ms;

// ---- frames ----

std::map<std::string, Bytes> samples() {
  const auto made = [](Bytes body, const RpcTrailer& trailer) {
    append_trailer(body, trailer);
    return body;
  };
  return {{"request", made("hello", {.id = 258, .patience_ms = 1000, .method = 2})},
          {"response", made("", {.id = 258, .method = 2, .kind = RpcKind::Response})},
          {"refusal",
           made(encode_refusal({Code::Exhausted, "disk full"}), {.id = 258, .method = 2, .kind = RpcKind::Refusal})},
          {"cancel", made("", {.id = 258, .kind = RpcKind::Cancel})}};
}

TEST(RpcFrame, IsWrittenAsTheGoldenFileHas) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/rpc_v1.txt";
  const auto made = samples();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << to_hex(bytes) << '\n';
  }
  std::ifstream in(path);
  std::map<std::string, Bytes> kept;
  for (std::string name, hex; in >> name >> hex;) ASSERT_TRUE(from_hex(hex, kept[name])) << name;
  ASSERT_EQ(kept.size(), made.size());
  for (const auto& [name, bytes] : made) EXPECT_EQ(to_hex(kept[name]), to_hex(bytes)) << name;
}

RC_GTEST_PROP(RpcFrame, RoundTrips, (std::string body, uint64_t id, uint32_t patience, uint16_t method)) {
  const RpcTrailer trailer{.id = id, .patience_ms = patience, .method = method, .kind = RpcKind(id % 4)};
  Bytes frame = body;
  append_trailer(frame, trailer);
  const auto read = read_rpc(frame);
  RC_ASSERT(read.has_value());
  RC_ASSERT(read->trailer == trailer && read->body == body);
}

TEST(RpcFrame, RefusesWhatItDoesNotKnow) {
  Bytes frame = samples()["request"];
  EXPECT_EQ(read_rpc(frame.substr(0, kRpcTrailerBytes - 1)).error().code, Code::Corrupt);
  frame.back() = 2;
  EXPECT_EQ(read_rpc(frame).error().code, Code::Unsupported);
  frame.back() = 1;
  frame[frame.size() - 2] = 4;
  EXPECT_EQ(read_rpc(frame).error().code, Code::Corrupt);
  EXPECT_EQ(read_refusal("").code, Code::Unavailable);
  EXPECT_EQ(read_refusal("\xff later").code, Code::Unavailable);
  EXPECT_LT(read_refusal(encode_refusal({Code::Io, Bytes(5000, 'x')})).message.size(), 300u);
  EXPECT_EQ(read_refusal("\x0c\n").message, "\\x0a");
}

// ---- calls ----

/// A node with an echo, a handler that holds until it is let go, and one that fails.
class Node {
 public:
  Node(const std::shared_ptr<MemoryNetwork>& network, NodeId id, const RpcOptions& options = {})
      : rpc(options, logger) {
    rpc.serve(kEcho, [](NodeId, ByteView body) -> Result<Bytes> { return "echo " + Bytes(body); });
    rpc.serve(kHold, [this](NodeId, ByteView body) -> Result<Bytes> {
      std::unique_lock lock(mutex);
      ++held;
      changed.notify_all();
      changed.wait(lock, [&] { return released; });
      return "held " + Bytes(body);
    });
    rpc.serve(kFail, [](NodeId, ByteView body) -> Result<Bytes> { return fail(Code::Exhausted, Bytes(body)); });
    rpc.watch([this](NodeId, bool up) {
      const std::lock_guard lock(mutex);
      (up ? ups : downs)++;
      changed.notify_all();
    });
    transport = network->join(id, rpc, 1u << 20);
    rpc.start(*transport);
    EXPECT_TRUE(transport->set_peers({{kOne, "", 1}, {kTwo, "", 1}}));
  }
  ~Node() {
    release();
    rpc.stop();
    transport->stop();
  }
  void release() {
    const std::lock_guard lock(mutex);
    released = true;
    changed.notify_all();
  }
  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, holds);
  }
  bool wait_held(int n) {
    return wait([&] { return held >= n; });
  }

  NullLogger logger;
  std::mutex mutex;
  std::condition_variable changed;
  int held = 0, ups = 0, downs = 0;
  bool released = false;
  Rpc rpc;
  std::unique_ptr<Transport> transport;
};

class RpcTest : public testing::Test {
 protected:
  void start(const RpcOptions& options = {}) {
    one = std::make_unique<Node>(network, kOne);
    two = std::make_unique<Node>(network, kTwo, options);
    ASSERT_TRUE(one->wait([&] { return one->ups == 1; }));
    ASSERT_TRUE(two->wait([&] { return two->ups == 1; }));
  }
  /// The answer of a call, to wait for.
  std::future<Result<Bytes>> call(uint16_t method, Bytes body, Rpc::Milliseconds patience = kLong,
                                  Rpc::CallId* id = nullptr) {
    auto promise = std::make_shared<std::promise<Result<Bytes>>>();
    auto future = promise->get_future();
    const auto called = one->rpc.call(kTwo, method, std::move(body), patience,
                                      [promise](Result<Bytes> result) { promise->set_value(std::move(result)); });
    EXPECT_TRUE(called);
    if (called && id != nullptr) *id = *called;
    return future;
  }

  std::shared_ptr<MemoryNetwork> network = MemoryNetwork::make();
  std::unique_ptr<Node> one, two;
};

TEST_F(RpcTest, CallsAreAnsweredAndRefusedByTheirHandlers) {
  start();
  EXPECT_EQ(one->rpc.call_and_wait(kTwo, kEcho, "x", kLong).value(), "echo x");
  EXPECT_EQ(two->rpc.call_and_wait(kOne, kEcho, "y", kLong).value(), "echo y");
  const auto refused = one->rpc.call_and_wait(kTwo, kFail, "no room", kLong);
  EXPECT_EQ(refused.error(), (Error{Code::Exhausted, "node-2: no room"}));
  EXPECT_EQ(one->rpc.call_and_wait(kTwo, 77, "", kLong).error().code, Code::Unsupported);
  EXPECT_EQ(one->rpc.call_and_wait(kTwo, kEcho, Bytes(kPayloadBytesMax, 'x'), kLong).error().code, Code::Invalid);
}

TEST_F(RpcTest, ManyCallsGetTheirOwnAnswers) {
  start();
  std::vector<std::future<Result<Bytes>>> answers;
  for (int i = 0; i < 500; ++i) answers.push_back(call(kEcho, std::to_string(i)));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(answers[static_cast<size_t>(i)].get().value(), "echo " + std::to_string(i));
}

TEST_F(RpcTest, ACallToNobodyIsNotSent) {
  start();
  bool called = false;
  const auto id = one->rpc.call(NodeId(9), kEcho, "x", kLong, [&](const Result<Bytes>&) { called = true; });
  EXPECT_EQ(id.error().code, Code::Unavailable);
  EXPECT_THAT(id.error().message, HasSubstr("node-9"));
  one->rpc.stop();
  EXPECT_FALSE(called);
}

TEST_F(RpcTest, TheDeadlineEndsACallAndTheLateAnswerIsDropped) {
  start();
  auto late = call(kHold, "x", 1ms);
  EXPECT_EQ(late.get().error().code, Code::Timeout);
  two->release();
  EXPECT_EQ(call(kEcho, "x").get().value(), "echo x");
  EXPECT_EQ(one->rpc.metrics().timed_out, 1u);
}

TEST_F(RpcTest, ALostPeerMakesTheOutcomeUnknownAtOnce) {
  start();
  auto held = call(kHold, "x");
  ASSERT_TRUE(two->wait_held(1));
  network->cut(kOne, kTwo);
  const auto lost = held.get();
  EXPECT_EQ(lost.error().code, Code::Timeout);
  EXPECT_THAT(lost.error().message, HasSubstr("node-2: lost before it answered"));
  EXPECT_FALSE(one->rpc.connected(kTwo));
  network->mend(kOne, kTwo);
  ASSERT_TRUE(one->wait([&] { return one->ups == 2; }));
  two->release();
  EXPECT_EQ(call(kEcho, "again").get().value(), "echo again");
}

TEST_F(RpcTest, AnAnswerWaitsForItsCallerToBeReachable) {
  // Node 1 reaches node 2 here through a transport that says so; node 2 has not reached node 1 yet.
  class Deaf final : public Transport {
   public:
    bool send(NodeId, uint8_t, Bytes payload) override {
      const std::lock_guard lock(mutex);
      sent.push_back(std::move(payload));
      changed.notify_all();
      return true;
    }
    void post(std::function<void()>) override {}
    Result<void> set_peers(std::vector<PeerAddress>) override { return {}; }
    std::vector<PeerMetrics> metrics() const override { return {}; }
    void stop() override {}
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Bytes> sent;
  } transport;
  NullLogger logger;
  Rpc rpc({.workers = 1}, logger);
  std::latch done(2);
  rpc.serve(kEcho, [&](NodeId, ByteView) -> Result<Bytes> {
    done.count_down();
    return "answer";
  });
  rpc.start(transport);
  Bytes request;
  append_trailer(request, {.id = 5, .patience_ms = 60'000, .method = kEcho});
  rpc.on_frame(kOne, 1, request);
  rpc.on_frame(kTwo, 1, request);
  done.wait();  // with one worker the first answer was given
  EXPECT_TRUE(transport.sent.empty());
  rpc.on_up(kOne);
  std::unique_lock lock(transport.mutex);
  ASSERT_TRUE(transport.changed.wait_for(lock, kPatience, [&] { return !transport.sent.empty(); }));
  EXPECT_EQ(read_rpc(transport.sent[0])->body, "answer");
  lock.unlock();
  rpc.stop();
}

TEST_F(RpcTest, AFullServerRefusesAndAnswersWhatItTook) {
  start({.workers = 1, .queued_max = 2});
  auto held = call(kHold, "a");
  ASSERT_TRUE(two->wait_held(1));
  auto first = call(kEcho, "b"), second = call(kEcho, "c"), third = call(kEcho, "d");
  const auto refused = third.get();
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("try again later"));
  two->release();
  EXPECT_EQ(held.get().value(), "held a");
  EXPECT_EQ(first.get().value(), "echo b");
  EXPECT_EQ(second.get().value(), "echo c");
}

TEST_F(RpcTest, ACancelledCallIsNotBegun) {
  start({.workers = 1});
  auto held = call(kHold, "a");
  ASSERT_TRUE(two->wait_held(1));
  Rpc::CallId id = 0;
  auto cancelled = call(kHold, "b", kLong, &id), next = call(kEcho, "c");
  one->rpc.cancel(id);
  one->rpc.cancel(id);
  EXPECT_EQ(cancelled.get().error().code, Code::Cancelled);
  // What comes over the wire behind the cancel is read after it.
  auto refused = call(77, "");
  EXPECT_EQ(refused.get().error().code, Code::Unsupported);
  two->release();
  EXPECT_EQ(held.get().value(), "held a");
  EXPECT_EQ(next.get().value(), "echo c");
  EXPECT_EQ(two->held, 1);
  EXPECT_EQ(two->rpc.metrics().expired, 1u);
}

TEST_F(RpcTest, AnswersOfAnotherNodeOrAnotherCallAreDropped) {
  start();
  Rpc::CallId id = 0;
  auto held = call(kHold, "x", kLong, &id);
  ASSERT_TRUE(two->wait_held(1));
  for (const auto& [from, to] : {std::pair(NodeId(3), id), std::pair(kTwo, id + 1)}) {
    Bytes forged = "forged";
    append_trailer(forged, {.id = to, .method = kHold, .kind = RpcKind::Response});
    one->rpc.on_frame(from, 1, forged);
  }
  one->rpc.on_frame(kTwo, 1, "garbage");
  one->rpc.on_frame(kTwo, 2, "another channel");
  two->release();
  EXPECT_EQ(held.get().value(), "held x");
  Bytes again = "again";
  append_trailer(again, {.id = id, .method = kHold, .kind = RpcKind::Response});
  one->rpc.on_frame(kTwo, 1, again);
  EXPECT_EQ(one->rpc.metrics().answered, 1u);
}

TEST_F(RpcTest, StoppingEndsEveryCall) {
  start();
  auto held = call(kHold, "x");
  ASSERT_TRUE(two->wait_held(1));
  one->rpc.stop();
  EXPECT_EQ(held.get().error().code, Code::Cancelled);
  EXPECT_EQ(one->rpc.call(kTwo, kEcho, "", kLong, {}).error().code, Code::Cancelled);
}

TEST_F(RpcTest, EveryCallIsAnsweredOnceWhileConnectionsComeAndGo) {
  start();
  constexpr int kCalls = 2000;
  std::atomic<int> answered = 0, unknown = 0, unsent = 0, twice = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 2; ++t)
    callers.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) {
        std::promise<Result<Bytes>> promise;
        auto seen = std::make_shared<std::atomic<int>>(0);
        const auto id = one->rpc.call(kTwo, kEcho, std::to_string(i), 20ms, [&, seen](Result<Bytes> result) {
          if (seen->fetch_add(1) > 0) {
            ++twice;
          } else {
            promise.set_value(std::move(result));
          }
        });
        if (!id) {
          ++unsent;
          continue;
        }
        const auto result = promise.get_future().get();
        if (!result) EXPECT_EQ(result.error().code, Code::Timeout) << result.error().message;
        if (result) EXPECT_EQ(*result, "echo " + std::to_string(i));
        ++(result ? answered : unknown);
      }
    });
  std::atomic<bool> done = false;
  std::thread breaker([&] {
    while (!done) {
      network->cut(kOne, kTwo);
      network->mend(kOne, kTwo);
      (void)one->rpc.call_and_wait(kTwo, kEcho, "between", 20ms);
    }
  });
  for (auto& thread : callers) thread.join();
  done = true;
  breaker.join();
  EXPECT_EQ(answered + unknown + unsent, 2 * kCalls);
  EXPECT_EQ(twice, 0);
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace hailstone::net
