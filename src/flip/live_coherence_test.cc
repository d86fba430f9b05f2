// Nodes, readers and a flipper on threads of their own, over sockets: no request that starts after a flip was
// acknowledged, or after any reader saw it, gets an earlier one.
#include <gtest/gtest.h>

#include <latch>

#include "flip/testing.h"

namespace hailstone::flip {
namespace {

/// The newest sequence that anybody knows of. Whoever starts after that must not see less.
class Judge {
 public:
  uint64_t known() const { return known_.load(); }
  void saw(uint64_t before, uint64_t sequence) {
    if (sequence < before) ++stale_;
    raise(sequence);
  }
  void raise(uint64_t sequence) {
    for (uint64_t known = known_; known < sequence && !known_.compare_exchange_weak(known, sequence);) continue;
  }
  uint64_t stale() const { return stale_; }

 private:
  std::atomic<uint64_t> known_{0}, stale_{0};
};

class LiveCoherence : public testing::Test {
 protected:
  static constexpr int kNodes = 3;

  void SetUp() override {
    for (int i = 0; i < kNodes; ++i) nodes.push_back(std::make_unique<TestNode>(cell));
    publisher = std::make_unique<TestNode>(cell);
    flip();
  }
  void TearDown() override {
    stop = true;
    for (auto& thread : readers) thread.join();
    EXPECT_EQ(judge.stale(), 0);
    EXPECT_GT(from_memory, 0);
  }

  void flip() {
    const auto done = publisher->flip({{.volume = "repo",
                                        .id = VolumeId(7),
                                        .channel = "current",
                                        .release = ReleaseNumber(1),
                                        .recorded = UINT64_MAX}});
    ASSERT_TRUE(done) << done.error().message;
    judge.raise(done->at(0).flip.sequence);
  }
  /// From now on the node's client thread is held up between any two things that it does, for as long as a flip takes
  /// that does not wait for it.
  void stutter(TestNode& node) {
    net::asio::post(node.thread.loop, [this, &node] {
      const auto began = std::chrono::steady_clock::now();
      const uint64_t known = judge.known();
      while (judge.known() == known && std::chrono::steady_clock::now() - began < std::chrono::milliseconds(5))
        std::this_thread::yield();
      if (!stop) stutter(node);
    });
  }
  enum class Reader : uint8_t { Asks, MemoryOnly };
  void read(TestNode& node, Reader kind) {
    readers.emplace_back([this, &node, kind] {
      const auto cache = node.live->make_cache();
      while (!stop) {
        const uint64_t before = judge.known();
        if (const LivePtr& live = cache->get("repo", "current")) {
          judge.saw(before, live->file->current().sequence);
          ++from_memory;
        } else if (kind == Reader::Asks) {
          const auto asked = node.ask("repo", "current");
          if (asked) judge.saw(before, (*asked)->file->current().sequence);
          EXPECT_TRUE(asked) << asked.error().message;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  void read_everywhere() {
    for (auto& node : nodes) {
      read(*node, Reader::Asks);
      read(*node, Reader::Asks);
      read(*node, Reader::MemoryOnly);
    }
  }
  /// Until each node has the newest in memory.
  void settle() {
    for (auto& node : nodes) {
      const auto cache = node->live->make_cache();
      while (cache->get("repo", "current") == nullptr) ASSERT_TRUE(node->ask("repo", "current"));
    }
  }

  TestCell cell;
  std::vector<std::unique_ptr<TestNode>> nodes;
  std::unique_ptr<TestNode> publisher;
  Judge judge;
  std::atomic<uint64_t> from_memory{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
};

TEST_F(LiveCoherence, OfManyFlips) {
  read_everywhere();
  for (int i = 0; i < 300; ++i) {
    flip();
    if (i % 10 == 0) settle();
  }
}

TEST_F(LiveCoherence, WhenTheThreadOfAClientIsSlow) {
  settle();
  read(*nodes[0], Reader::MemoryOnly);
  read(*nodes[1], Reader::Asks);
  stutter(*nodes[0]);
  for (int i = 0; i < 30; ++i) {
    flip();
    settle();
  }
}

TEST_F(LiveCoherence, WhenConnectionsAreCutAndMastersChange) {
  read_everywhere();
  for (int i = 0; i < 60; ++i) {
    if (i % 3 == 0) cell.cut_connections();
    if (i % 7 == 0) cell.new_master();
    flip();
    if (i % 5 == 0) settle();
  }
}

TEST_F(LiveCoherence, WhenTheThreadOfAClientStandsStill) {
  settle();
  read(*nodes[0], Reader::MemoryOnly);
  read(*nodes[0], Reader::Asks);
  read(*nodes[1], Reader::Asks);
  for (int i = 0; i < 2; ++i) {
    settle();
    std::latch stands(1), goes_on(1);
    net::asio::post(nodes[0]->thread.loop, [&] {
      stands.count_down();
      goes_on.wait();
    });
    stands.wait();
    flip();  // comes through when the lease of the one that stands still is over
    const auto cache = nodes[0]->live->make_cache();
    EXPECT_EQ(cache->get("repo", "current"), nullptr);
    flip();
    goes_on.count_down();
    flip();
  }
}

}  // namespace
}  // namespace hailstone::flip
