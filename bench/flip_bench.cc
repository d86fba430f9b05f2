// Flips over loopback with three nodes, how long their readers wait at one, and what a resolution from memory costs.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "flip/testing.h"

using namespace hailstone;
using namespace hailstone::flip;

namespace {

constexpr int kNodes = 3, kFlips = 500, kRounds = 200;
constexpr int64_t kReads = 20'000;
constexpr auto kBetween = std::chrono::milliseconds(10);

struct Times {
  std::vector<int64_t> ns;
  void print(const char* what) {
    if (ns.empty()) return fmt::print("{:<40} none\n", what);
    std::ranges::sort(ns);
    const auto at = [&](double share) {
      const size_t index = static_cast<size_t>(share * static_cast<double>(ns.size() - 1));
      return static_cast<double>(ns[index]) / 1e3;
    };
    fmt::print("{:<40} n {:>7}   p50 {:>8.1f} us   p99 {:>8.1f} us   max {:>8.1f} us\n", what, ns.size(), at(0.5),
               at(0.99), at(1));
  }
};

Change change() {
  return {
      .volume = "repo", .id = VolumeId(1), .channel = "current", .release = ReleaseNumber(1), .recorded = UINT64_MAX};
}

void settle(TestNode& node, LiveCache& cache) {
  while (cache.get("repo", "current") == nullptr) CHECK(node.ask("repo", "current").has_value());
}

/// A reader that is not a benchmark of itself: a request now and then, as of many connections.
void read(TestNode& node, const std::atomic<bool>& stop, Times& waits) {
  const auto cache = node.live->make_cache();
  while (!stop) {
    if (cache->get("repo", "current") == nullptr) {
      const int64_t began_ns = node.clock.monotonic_ns();
      CHECK(node.ask("repo", "current").has_value());
      waits.ns.push_back(node.clock.monotonic_ns() - began_ns);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace

int main() {
  TestCell cell;
  std::vector<std::unique_ptr<TestNode>> nodes;
  for (int i = 0; i < kNodes; ++i) nodes.push_back(std::make_unique<TestNode>(cell));
  TestNode publisher(cell);
  CHECK(publisher.flip({change()}).has_value());
  std::vector<std::shared_ptr<LiveCache>> caches;
  for (auto& node : nodes) settle(*node, *caches.emplace_back(node->live->make_cache()));

  int64_t best_ns = INT64_MAX;  // of what others leave of the machine
  for (int round = 0; round < kRounds; ++round) {
    const int64_t began_ns = publisher.clock.monotonic_ns();
    for (int64_t i = 0; i < kReads; ++i)
      if (caches[0]->get("repo", "current") == nullptr) settle(*nodes[0], *caches[0]);
    best_ns = std::min(best_ns, publisher.clock.monotonic_ns() - began_ns);
  }
  fmt::print("{:<40} {:.1f} ns\n", "resolution from memory", static_cast<double>(best_ns) / kReads);

  std::atomic<bool> stop{false};
  std::vector<Times> waits(2 * kNodes);
  std::vector<std::thread> readers;
  for (int i = 0; i < 2 * kNodes; ++i)
    readers.emplace_back(
        [&, i] { read(*nodes[static_cast<size_t>(i % kNodes)], stop, waits[static_cast<size_t>(i)]); });
  Times flips;
  for (int i = 0; i < kFlips; ++i) {
    const int64_t flip_ns = publisher.clock.monotonic_ns();
    CHECK(publisher.flip({change()}).has_value());
    flips.ns.push_back(publisher.clock.monotonic_ns() - flip_ns);
    std::this_thread::sleep_for(kBetween);
  }
  stop = true;
  for (auto& thread : readers) thread.join();
  Times all;
  for (const Times& each : waits) all.ns.insert(all.ns.end(), each.ns.begin(), each.ns.end());
  flips.print("flip, three nodes hold copies");
  all.print("waits of readers at flips");
  for (auto& node : nodes) {
    const auto figures = node->live->figures();
    fmt::print("node: {} waits, {} reads, {} invalidations\n", figures.waits, figures.reads, figures.invalidations);
  }
}
