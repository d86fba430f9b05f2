// What every transport must do, asked of each: in memory, TCP, TCP under TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "net/memory_transport.h"
#include "net/tcp_transport.h"
#include "net/testing.h"

namespace hailstone::net {
namespace {

using testing::ElementsAre;

/// Makes the nodes of one cell, of one implementation.
class Maker {
 public:
  virtual ~Maker() = default;
  virtual std::unique_ptr<Transport> node(NodeId id, Receiver& receiver, size_t queue_bytes_max) = 0;
  /// Where a node listens, once made.
  virtual uint16_t port(NodeId) { return 1; }
};

class MemoryMaker final : public Maker {
 public:
  std::unique_ptr<Transport> node(NodeId id, Receiver& receiver, size_t queue_bytes_max) override {
    return network_->join(id, receiver, queue_bytes_max);
  }

 private:
  std::shared_ptr<MemoryNetwork> network_ = MemoryNetwork::make();
};

class TcpMaker final : public Maker {
 public:
  explicit TcpMaker(bool tls) : cell_(tls ? std::make_unique<TestCell>() : nullptr) {}
  std::unique_ptr<Transport> node(NodeId id, Receiver& receiver, size_t queue_bytes_max) override {
    TcpOptions options{.self = id, .cell = "test", .queue_bytes_max = queue_bytes_max};
    options.listen_port = ports_[id];  // a node that comes back keeps its port
    options.dead_after_ms = options.connect_timeout_ms = 20'000;
    if (cell_ != nullptr) options.tls = cell_->files(id.value);
    auto made = TcpTransport::start(options, receiver, logger_);
    EXPECT_TRUE(made) << made.error().message;
    ports_[id] = (*made)->port();
    return std::move(*made);
  }
  uint16_t port(NodeId id) override { return ports_[id]; }

 private:
  std::unique_ptr<TestCell> cell_;
  NullLogger logger_;
  std::map<NodeId, uint16_t> ports_;
};

constexpr NodeId kOne(1), kTwo(2), kThree(3);

class Conformance : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    if (kind == "memory") {
      maker = std::make_unique<MemoryMaker>();
    } else {
      maker = std::make_unique<TcpMaker>(kind == "tls");
    }
  }
  std::unique_ptr<Transport> make(NodeId id, Inbox& inbox, size_t queue_bytes_max = 32u << 20) {
    return maker->node(id, inbox, queue_bytes_max);
  }
  std::vector<PeerAddress> peers(std::initializer_list<NodeId> ids) {
    std::vector<PeerAddress> out;
    for (const NodeId id : ids) out.push_back({id, "127.0.0.1", maker->port(id)});
    return out;
  }
  void connect(std::initializer_list<std::pair<NodeId, Transport*>> nodes) {
    std::vector<PeerAddress> all;
    for (const auto& [id, transport] : nodes) all.push_back({id, "127.0.0.1", maker->port(id)});
    for (const auto& [id, transport] : nodes) ASSERT_TRUE(transport->set_peers(all));
  }
  PeerMetrics metrics(const Transport& transport, NodeId of) {
    for (const PeerMetrics& each : transport.metrics())
      if (each.id == of) return each;
    return {};
  }

  std::unique_ptr<Maker> maker;
};

TEST_P(Conformance, CarriesFramesBothWaysInOrder) {
  Inbox in_one, in_two;
  const auto one = make(kOne, in_one), two = make(kTwo, in_two);
  EXPECT_FALSE(one->send(kTwo, 0, "nobody knows it yet"));
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  ASSERT_TRUE(in_two.wait_up(kOne));
  std::vector<Inbox::Frame> expected;
  for (int i = 0; i < 5000; ++i) {
    const Bytes payload = std::to_string(i) + Bytes(static_cast<size_t>(i * 7 % 900), 'x');
    ASSERT_TRUE(one->send(kTwo, static_cast<uint8_t>(i), payload));
    expected.push_back({kOne, static_cast<uint8_t>(i), payload});
  }
  ASSERT_TRUE(two->send(kOne, 9, "back"));
  ASSERT_TRUE(in_two.wait_frames(expected.size()));
  EXPECT_TRUE(in_two.frames() == expected);
  ASSERT_TRUE(in_one.wait_frames(1));
  EXPECT_THAT(in_one.frames(), ElementsAre(Inbox::Frame{kTwo, 9, "back"}));
  EXPECT_EQ(metrics(*two, kOne).frames_in, 5000u);
  EXPECT_TRUE(metrics(*one, kTwo).connected);
  EXPECT_EQ(metrics(*one, kTwo).dropped, 0u);
}

TEST_P(Conformance, CarriesFramesOfEverySize) {
  Inbox in_one, in_two;
  const auto one = make(kOne, in_one), two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  std::vector<Inbox::Frame> expected;
  for (const size_t size : {0u, 1u, 16384u, 16385u, 65520u, 65536u, 1u << 20, 0u, 16u << 20, 3u}) {
    Bytes payload(size, '\0');
    for (size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 2654435761u >> 24);
    ASSERT_TRUE(one->send(kTwo, 1, payload)) << size;
    expected.push_back({kOne, 1, payload});
  }
  EXPECT_FALSE(one->send(kTwo, 1, Bytes(kPayloadBytesMax + 1, 'x')));
  ASSERT_TRUE(in_two.wait_frames(expected.size()));
  EXPECT_TRUE(in_two.frames() == expected);
}

TEST_P(Conformance, AnyThreadMaySend) {
  Inbox in_one, in_two;
  const auto one = make(kOne, in_one), two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  std::vector<std::thread> threads;
  for (uint8_t thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 1000; ++i) EXPECT_TRUE(one->send(kTwo, thread, std::to_string(i)));
    });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(in_two.wait_frames(4000));
  int next[4] = {};
  for (const auto& frame : in_two.frames()) EXPECT_EQ(frame.payload, std::to_string(next[frame.channel]++));
}

TEST_P(Conformance, PostedWorkRunsOnTheReceiversThreadAndMaySend) {
  Inbox in_one, in_two;
  std::atomic<std::thread::id> heard_on;
  in_one.on_each = [&](NodeId, ByteView) { heard_on = std::this_thread::get_id(); };
  const auto one = make(kOne, in_one), two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  ASSERT_TRUE(in_two.wait_up(kOne));
  std::atomic<std::thread::id> ran_on;
  one->post([&] {
    ran_on = std::this_thread::get_id();
    for (int i = 0; i < 3; ++i) one->send(kTwo, 0, std::to_string(i));
  });
  ASSERT_TRUE(in_two.wait_frames(3));
  two->send(kOne, 0, "answer");
  ASSERT_TRUE(in_one.wait_frames(1));
  EXPECT_EQ(ran_on.load(), heard_on.load());
}

TEST_P(Conformance, APeerThatStopsIsTold) {
  Inbox in_one, in_two;
  const auto one = make(kOne, in_one);
  auto two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  ASSERT_TRUE(in_two.wait_up(kOne));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(two->send(kOne, 0, Bytes(1000, 'x')));
  two->stop();
  EXPECT_TRUE(in_one.wait_frames(1000)) << "what was accepted is written before it stops";
  EXPECT_TRUE(in_one.wait_down(kTwo));
  ASSERT_FALSE(in_two.downs(kOne).empty());
  EXPECT_EQ(in_two.downs(kOne).back().code, Code::Cancelled);
  EXPECT_FALSE(two->send(kOne, 0, "too late"));
  EXPECT_FALSE(one->send(kTwo, 0, "gone"));
  two->stop();
}

TEST_P(Conformance, APeerThatComesBackIsUpAgain) {
  Inbox in_one, in_two, in_two_again;
  const auto one = make(kOne, in_one);
  auto two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  two.reset();
  ASSERT_TRUE(in_one.wait_down(kTwo));
  two = make(kTwo, in_two_again);
  ASSERT_TRUE(two->set_peers(peers({kOne, kTwo})));
  ASSERT_TRUE(in_one.wait_up(kTwo));
  EXPECT_TRUE(one->send(kTwo, 0, "hello again"));
  EXPECT_TRUE(in_two_again.wait_frames(1));
  EXPECT_EQ(in_one.ups(kTwo), 2);
  EXPECT_EQ(metrics(*one, kTwo).reconnects, 1u);
}

TEST_P(Conformance, PeersCanBeAddedAndRemoved) {
  Inbox in_one, in_two, in_three;
  const auto one = make(kOne, in_one), two = make(kTwo, in_two), three = make(kThree, in_three);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  connect({{kOne, one.get()}, {kTwo, two.get()}, {kThree, three.get()}});
  ASSERT_TRUE(in_one.wait_up(kThree));
  ASSERT_TRUE(in_two.wait_up(kThree));
  EXPECT_EQ(in_one.ups(kTwo), 1) << "others are left alone";
  ASSERT_TRUE(one->set_peers(peers({kThree})));
  ASSERT_TRUE(in_one.wait_down(kTwo));
  EXPECT_EQ(in_one.downs(kTwo).back(), (Error{Code::Cancelled, "node-2 was removed from the peers"}));
  ASSERT_TRUE(in_two.wait_down(kOne));
  EXPECT_FALSE(one->send(kTwo, 0, "x"));
  EXPECT_TRUE(one->send(kThree, 0, "x"));
  EXPECT_TRUE(in_three.wait_frames(1));
}

TEST_P(Conformance, RefusesPeersThatCannotBe) {
  Inbox inbox;
  const auto one = make(kOne, inbox);
  EXPECT_EQ(one->set_peers({{NodeId(0), "127.0.0.1", 1}}).error().code, Code::Invalid);
  EXPECT_EQ(one->set_peers({{kTwo, "127.0.0.1", 1}, {kTwo, "127.0.0.1", 2}}).error().code, Code::Invalid);
  EXPECT_TRUE(one->metrics().empty());
}

TEST_P(Conformance, AFullQueueDropsAndOthersGoOn) {
  std::mutex gate;
  Inbox in_one, in_two, in_three;
  // Node 2 reads nothing while the gate is held.
  in_two.on_each = [&](NodeId, ByteView) { const std::scoped_lock wait(gate); };
  in_two.keep = false;
  const size_t queue_bytes_max = 1u << 20;
  const bool shared_thread = std::string(GetParam()) == "memory";  // it holds up everybody
  const auto one = make(kOne, in_one, queue_bytes_max), two = make(kTwo, in_two), three = make(kThree, in_three);
  connect({{kOne, one.get()}, {kTwo, two.get()}, {kThree, three.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  ASSERT_TRUE(in_one.wait_up(kThree));
  std::unique_lock hold(gate);
  uint64_t accepted = 0;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (one->send(kTwo, 0, Bytes(60'000, 'x'))) {
    ++accepted;
    ASSERT_LE(metrics(*one, kTwo).queue_bytes, queue_bytes_max + (1u << 20));
    ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
  EXPECT_GT(metrics(*one, kTwo).dropped, 0u);
  EXPECT_TRUE(one->send(kThree, 0, "unaffected"));
  if (!shared_thread) EXPECT_TRUE(in_three.wait_frames(1));
  hold.unlock();
  EXPECT_TRUE(in_two.wait_bytes(accepted * 60'000)) << "what was accepted arrives";
  EXPECT_TRUE(in_three.wait_frames(1));
}

TEST_P(Conformance, HundredMegabytesArriveInOrder) {
  constexpr uint64_t kFrames = 1600, kBytes = 65536;
  Inbox in_one, in_two;
  in_two.keep = false;
  std::atomic<uint64_t> next{0}, wrong{0};
  in_two.on_each = [&](NodeId, ByteView payload) {
    uint64_t number = 0;
    std::memcpy(&number, payload.data(), sizeof number);
    wrong += number != next++ || payload.size() != kBytes || payload.back() != static_cast<char>(number);
  };
  const auto one = make(kOne, in_one, 4u << 20), two = make(kTwo, in_two);
  connect({{kOne, one.get()}, {kTwo, two.get()}});
  ASSERT_TRUE(in_one.wait_up(kTwo));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (uint64_t i = 0; i < kFrames; ++i) {
    Bytes payload(kBytes, static_cast<char>(i));
    std::memcpy(payload.data(), &i, sizeof i);
    while (!one->send(kTwo, 0, payload)) {
      std::this_thread::yield();
      ASSERT_LT(std::chrono::steady_clock::now(), end);
    }
  }
  ASSERT_TRUE(in_two.wait_bytes(kFrames * kBytes));
  EXPECT_EQ(wrong.load(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Transports, Conformance, testing::Values("memory", "tcp", "tls"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace hailstone::net
