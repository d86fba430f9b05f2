// Measures the tree: lookups, listings, bulk build, small edits of big trees. Links hailstone_tree, hailstone_chunk,
// fmt.
//
//   tree_bench [--keys N] [--value-bytes N] [--json]
//
// Everything runs on one thread over the in-memory chunk store: times are CPU time, of hashing and memory, not of disk.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "chunk/store.h"
#include "tree/cache.h"
#include "tree/node.h"
#include "tree/tree.h"

namespace {

using namespace hailstone;
using namespace hailstone::tree;

template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "tree_bench: {}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// CPU time of this thread: nothing here waits, and a busy machine distorts it less than wall time.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_of(const std::function<void()>& work) {
  const double start = cpu_seconds();
  work();
  return cpu_seconds() - start;
}

uint64_t resident_bytes() {
  uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// About 60 bytes, as the paths of a package pool are.
Bytes key_of(uint64_t i) {
  return fmt::format("pool/main/{:c}/package-{:05}/package-{:05}_1.{:02}-1_amd64.{:04}.deb",
                     'a' + char(i * 26 / 8'000'000), i / 100, i / 100, i % 100, i % 7919);
}

/// Incompressible, as hashes and ETags are.
Bytes value_of(uint64_t i, size_t bytes) {
  std::mt19937_64 random(i);
  Bytes out;
  while (out.size() < bytes) {
    const uint64_t word = random();
    out.append(reinterpret_cast<const char*>(&word), 8);
  }
  out.resize(bytes);
  return out;
}

struct Report {
  std::vector<std::pair<std::string, double>> numbers;
  bool json = false;
  void add(const std::string& name, double value) {
    numbers.emplace_back(name, value);
    if (!json) fmt::print("{:<48} {:>14.1f}\n", name, value);
    std::fflush(stdout);
  }
  void finish() const {
    if (!json) return;
    fmt::print("{{");
    for (size_t i = 0; i < numbers.size(); ++i)
      fmt::print("{}\"{}\": {:.3f}", i ? ", " : "", numbers[i].first, numbers[i].second);
    fmt::print("}}\n");
  }
};

/// Counts what an edit writes.
class CountedNodes final : public NodeStore {
 public:
  explicit CountedNodes(NodeStore& below) : below_(below) {}
  Result<NodePtr> load(const ChunkId& id) override {
    ++loads;
    return below_.load(id);
  }
  Result<ChunkId> save(Bytes encoded) override {
    ++saves;
    saved_bytes += encoded.size();
    return below_.save(std::move(encoded));
  }
  uint64_t loads = 0, saves = 0, saved_bytes = 0;

 private:
  NodeStore& below_;
};

Root build(NodeStore& nodes, uint64_t keys, size_t value_bytes) {
  uint64_t i = 0;
  return must(apply_stream(nodes, {}, [&]() -> Result<std::optional<Edit>> {
    if (i == keys) return std::nullopt;
    Edit edit{key_of(i), value_of(i, value_bytes), 1000};
    ++i;
    return edit;
  }));
}

void measure(Report& report, uint64_t keys, size_t value_bytes) {
  const std::string of = fmt::format("{}_keys", keys);
  const auto chunks = chunk::make_memory_store();
  auto nodes = std::make_unique<CachedNodes>(*chunks, CacheOptions{.bytes_max = 4ull << 30});
  CountedNodes counted(*nodes);
  Root root;
  // Making the keys and values is not the tree's work.
  const double input = seconds_of([&] {
    size_t sum = 0;
    for (uint64_t i = 0; i < keys; ++i) sum += key_of(i).size() + value_of(i, value_bytes).size();
    if (sum == 0) std::abort();
  });
  const double built = seconds_of([&] { root = build(counted, keys, value_bytes); }) - input;
  report.add("build_keys_per_second." + of, static_cast<double>(keys) / built);
  report.add("node_bytes_per_key." + of, static_cast<double>(counted.saved_bytes) / static_cast<double>(keys));
  report.add("nodes." + of, static_cast<double>(counted.saves));
  report.add("levels." + of, must(nodes->load(root.id))->level() + 1);
  report.add("resident_megabytes_store_and_cache." + of, static_cast<double>(resident_bytes()) / 1e6);

  std::mt19937_64 random(1);
  std::vector<Bytes> probes;
  for (int i = 0; i < 200'000; ++i) probes.push_back(key_of(random() % keys));
  const auto lookups = [&](auto&& find) {
    return static_cast<double>(probes.size()) / seconds_of([&] {
             for (const Bytes& key : probes) find(key);
           });
  };
  const auto view = [&](const Bytes& key) {
    if (!must(lookup_view(*nodes, root, key))) std::abort();
  };
  lookups(view);
  report.add("lookup_view_per_second_warm." + of, lookups(view));
  report.add("lookup_per_second_warm." + of, lookups([&](const Bytes& key) {
               if (!must(lookup(*nodes, root, key))) std::abort();
             }));

  const auto list = [&](NodeStore& from, int rounds) {
    return seconds_of([&] {
             for (int round = 0; round < rounds; ++round) {
               Cursor cursor(from, root);
               must(cursor.seek(probes[static_cast<size_t>(round)]));
               size_t sum = 0;
               for (int i = 0; i < 1000 && cursor.valid(); ++i) {
                 sum += cursor.key().size() + cursor.value().size();
                 must(cursor.next());
               }
               if (sum == 0) std::abort();
             }
           }) /
           rounds * 1e6;
  };
  report.add("list_1000_microseconds_warm." + of, list(*nodes, 300));
  double cold = 0;
  for (int round = 0; round < 20; ++round) {
    CachedNodes empty(*chunks, {});
    std::swap(probes[0], probes[static_cast<size_t>(round)]);
    cold += list(empty, 1) / 20;
  }
  report.add("list_1000_microseconds_cold." + of, cold);

  const auto edit = [&](int edits) {
    std::map<Bytes, Edit> batch;
    while (batch.size() < static_cast<size_t>(edits)) {
      Bytes key = key_of(random() % keys);
      batch[key] = Edit{key, value_of(random(), value_bytes), 1};
    }
    std::vector<Edit> sorted;
    for (auto& [key, one] : batch) sorted.push_back(std::move(one));
    return sorted;
  };
  double apply_seconds = 0, diff_seconds = 0;
  counted.saves = counted.saved_bytes = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<Edit> edits = edit(100);
    Root changed;
    apply_seconds += seconds_of([&] { changed = must(apply(counted, root, edits)); });
    diff_seconds += seconds_of([&] {
      DiffCursor diff(*nodes, root, changed);
      int found = 0;
      while (must(diff.next())) ++found;
      if (found != 100) std::abort();
    });
  }
  report.add("apply_100_edits_microseconds." + of, apply_seconds / kRounds * 1e6);
  report.add("apply_100_edits_nodes_written." + of, static_cast<double>(counted.saves) / kRounds);
  report.add("apply_100_edits_kilobytes_written." + of, static_cast<double>(counted.saved_bytes) / kRounds / 1e3);
  report.add("diff_100_edits_microseconds." + of, diff_seconds / kRounds * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  Report report;
  std::vector<uint64_t> sizes{10'000, 1'000'000, 5'000'000};
  size_t value_bytes = 150;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      report.json = true;
    } else if (argument == "--keys" && i + 1 < argc) {
      sizes = {std::strtoull(argv[++i], nullptr, 10)};
    } else if (argument == "--value-bytes" && i + 1 < argc) {
      value_bytes = std::strtoull(argv[++i], nullptr, 10);
    } else {
      fmt::print(stderr, "usage: tree_bench [--keys N] [--value-bytes N] [--json]\n");
      return 2;
    }
  }
  for (const uint64_t keys : sizes) measure(report, keys, value_bytes);
  report.finish();
}
