// Publish, clone, rollback, listing and lookup at a given number of keys, on a real node directory. Prints one JSON
// object. Links: hailstone_server.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>

#include "disk/disk.h"
#include "server/node.h"
#include "volume/contents.h"

namespace {

using namespace hailstone;
using Steady = std::chrono::steady_clock;

[[noreturn]] void stop(const Error& error) {
  fmt::print(stderr, "publish_bench: {}\n", error.message);
  std::exit(1);
}

template <class T, class E>
T need(std::expected<T, E> result) {
  if (!result) {
    if constexpr (std::is_same_v<E, Error>)
      stop(result.error());
    else
      stop(result.error().error);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

double milliseconds(const std::function<void()>& work) {
  const auto start = Steady::now();
  work();
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

struct Spread {
  double p50 = 0, p90 = 0, max = 0;
};
Spread spread(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values[values.size() * 9 / 10], values.back()};
}

/// Paths like those of a package pool, in key order.
Bytes key_of(uint64_t number) {
  return fmt::format("pool/main/{:03}/package-{:07}/package-{:07}_1.{}_amd64.deb", number / 40'000, number / 4,
                     number / 4, number % 4);
}

volume::Entry entry_of(uint64_t number, uint64_t version) {
  volume::Entry entry;
  entry.content.inlined =
      fmt::format("content of {} version {} {:032x}", number, version, number * 0x9e3779b97f4a7c15ull);
  entry.content.bytes = entry.content.inlined.size();
  entry.content.sha256 = sha256(entry.content.inlined);
  entry.modified_ns = static_cast<int64_t>(version);
  return entry;
}

struct Bench {
  server::Node& node;
  uint64_t keys;
  volume::Caller caller{"bench", {}};
  std::mt19937_64 random{42};

  void load() {
    volume::Repository& repository = node.repository();
    need(repository.submit(caller, volume::CreateVolume{"bench", {}, {}}));
    constexpr uint64_t kBatch = 20'000, kSeal = 500'000;
    for (uint64_t next = 0; next < keys;) {
      std::vector<volume::Put> puts;
      for (; puts.size() < kBatch && next < keys; ++next) puts.push_back({key_of(next), entry_of(next, 0)});
      const auto head = need(repository.resolve("bench"));
      need(repository.write(caller, head, {}, puts));
      if (next % kSeal == 0 || next == keys) {
        const auto lock = repository.lock_volume(head.volume->record.id);
        need(repository.seal(*head.volume, volume::kHeadLayer));
      }
    }
  }

  void change(uint64_t version) {
    std::vector<volume::Put> puts;
    for (int i = 0; i < 100; ++i) {
      const uint64_t number = random() % keys;
      if (i % 10 == 9)
        puts.push_back({key_of(number) + fmt::format(".new{}", version), entry_of(number, version)});
      else
        puts.push_back({key_of(number), entry_of(number, version)});
    }
    std::ranges::sort(puts, {}, &volume::Put::key);
    puts.erase(std::ranges::unique(puts, {}, &volume::Put::key).begin(), puts.end());
    need(node.repository().write(caller, need(node.repository().resolve("bench")), {}, puts));
  }

  void publish() { need(node.publisher().publish(caller, {.items = {{"bench", {}, ""}}})); }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: publish_bench DIRECTORY KEYS [ROUNDS]\n");
    return 2;
  }
  server::Config config;
  config.data = argv[1];
  NullLogger logger;
  auto node = need(server::Node::open(config, disk::make_real_disk(), logger));
  Bench bench{*node, std::strtoull(argv[2], nullptr, 10)};
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 30;
  volume::Repository& repository = node->repository();

  const double load_ms = milliseconds([&] { bench.load(); });
  const double first_ms = milliseconds([&] { bench.publish(); });
  std::vector<double> publishes, writes, clones, rollbacks, lists;
  for (int round = 1; round <= rounds; ++round) {
    writes.push_back(milliseconds([&] { bench.change(static_cast<uint64_t>(round)); }));
    publishes.push_back(milliseconds([&] { bench.publish(); }));
  }
  for (int i = 0; i < rounds; ++i) {
    const Bytes name = fmt::format("clone-{}", i);
    clones.push_back(milliseconds([&] { need(node->publisher().clone(bench.caller, "bench", {}, name, {})); }));
    if (i + 1 < rounds)
      rollbacks.push_back(
          milliseconds([&] { need(node->publisher().rollback(bench.caller, "bench", "current", {})); }));
  }
  const auto current = need(repository.resolve("bench@current"));
  const auto contents = need(repository.open(current));
  for (int i = 0; i < 200; ++i) {
    const Bytes after = key_of(bench.random() % bench.keys);
    lists.push_back(milliseconds([&] { need(volume::list(*contents, {.start_after = after, .limit = 1000})); }));
  }
  // Warm: a working set that fits the cache, as a mirror's popular files do.
  const uint64_t hot = std::min<uint64_t>(bench.keys, 200'000);
  const auto root = need(repository.release(*current.volume, *current.release)).root;
  constexpr int kLookups = 400'000;
  double lookup_ms = 0;
  for (int pass = 0; pass < 2; ++pass)
    lookup_ms = milliseconds([&] {
      for (int i = 0; i < kLookups; ++i) {
        if (!need(tree::lookup(repository.nodes(), root, key_of(bench.random() % hot)))) std::abort();
      }
    });
  const Spread p = spread(publishes), w = spread(writes), c = spread(clones), r = spread(rollbacks), l = spread(lists);
  fmt::print(
      "{{\"keys\":{},\"load_keys_per_second\":{:.0f},\"first_publish_ms\":{:.0f},\"write_100_ms\":{:.2f},\"publish_"
      "ms\":{:.2f},"
      "\"publish_p90_ms\":{:.2f},\"clone_ms\":{:.2f},\"clone_p90_ms\":{:.2f},\"rollback_ms\":{:.2f},\"rollback_p90_"
      "ms\":{:.2f},"
      "\"list_1000_ms\":{:.3f},\"list_1000_p90_ms\":{:.3f},\"lookups_per_second\":{:.0f},\"disk_bytes\":{}}}\n",
      bench.keys, static_cast<double>(bench.keys) / load_ms * 1000, first_ms, w.p50, p.p50, p.p90, c.p50, c.p90, r.p50,
      r.p90, l.p50, l.p90, kLookups / lookup_ms * 1000, node->store().stats().disk_bytes);
  node->drain();
  return 0;
}
