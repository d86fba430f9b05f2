// Measures the search index: bulk build, updates of 100 keys, queries. Links hailstone_publish, fmt, zstd.
//
//   search_bench [--keys N] [--updates N]
//
// Everything runs on one thread over the in-memory chunk store: times are CPU time, of SQLite, hashing and compression,
// not of disk.

#include <fmt/format.h>
#include <sys/resource.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <set>
#include <vector>

#include "publish/search.h"
#include "tree/cache.h"

namespace {

using namespace hailstone;
using namespace hailstone::publish;

template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "search_bench: {}\n", result.error().message);
    std::exit(1);
  }
  return std::move(*result);
}

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// Like a Debian pool: names of 1..3 syllables, two versions, four architectures.
Bytes key_of(uint64_t n) {
  static constexpr const char* kSyllables[] = {"ba", "con", "dev", "fer", "gra", "lib", "mon", "net",
                                               "py", "qui", "sto", "tex", "ur",  "vo",  "xen", "zy"};
  static constexpr const char* kArchitectures[] = {"amd64", "arm64", "armhf", "i386"};
  const uint64_t package = n / 8;
  Bytes name = package % 3 == 0 ? "lib" : "";
  for (uint64_t rest = package * 2654435761u % 1048576, i = 0; i < 5; ++i, rest /= 16) name += kSyllables[rest % 16];
  if (package % 5 == 0) name += "-dev";
  name += std::to_string(package / 1048576 + package % 7);
  return fmt::format("pool/main/{}/{}/{}_{}.{}-{}_{}.deb", name[0], name, name, package % 13, package % 31,
                     1 + n / 4 % 2, kArchitectures[n % 4]);
}

SearchEdits edits_of(const std::vector<Bytes>& keys, SearchEdit::Kind kind) {
  return [&keys, kind, next = size_t{0}]() mutable -> Result<std::optional<SearchEdit>> {
    if (next == keys.size()) return std::nullopt;
    return SearchEdit{keys[next++], kind};
  };
}

uint64_t chunk_bytes(chunk::ChunkStore& chunks) { return chunks.stats().uncompressed_bytes; }

struct Fixture {
  std::unique_ptr<chunk::ChunkStore> chunks = chunk::make_memory_store();
  tree::CachedNodes nodes{*chunks, {}};
};

/// Stored size: each page by zstd at level 1, as Compress::Auto keeps it (the store in memory keeps it as it is).
void report_size(Fixture& f, const tree::Root& root, size_t keys) {
  uint64_t stored = 0;
  tree::Cursor cursor(f.nodes, root);
  for ((void)cursor.seek(""); cursor.valid(); (void)cursor.next()) {
    const auto page = must(f.chunks->get(must(page_chunk(cursor.value()))));
    Bytes packed(ZSTD_compressBound(page->size()), '\0');
    stored += ZSTD_compress(packed.data(), packed.size(), page->data(), page->size(), 1);
  }
  const auto totals = must(tree::totals(f.nodes, root));
  fmt::print("size: {} pages of {} KiB, {:.1f} B a key, stored {:.1f} B a key\n", totals.keys, kPageBytes >> 10,
             static_cast<double>(totals.weight) / static_cast<double>(keys),
             static_cast<double>(stored) / static_cast<double>(keys));
}

struct Spread {
  std::vector<double> values;
  void add(double v) { values.push_back(v); }
  std::string text() {
    std::ranges::sort(values);
    double sum = 0;
    for (double v : values) sum += v;
    return fmt::format("median {:.2f} mean {:.2f} max {:.2f}", values[values.size() / 2],
                       sum / static_cast<double>(values.size()), values.back());
  }
};

void updates(Fixture& f, tree::Root root, const std::vector<Bytes>& keys, int rounds, bool scattered) {
  Spread ms, pages, read, bytes;
  for (int round = 0; round < rounds; ++round) {
    std::set<Bytes> changed;
    for (uint64_t i = 0; changed.size() < 100; ++i) {
      const Bytes& at = keys[(scattered ? (static_cast<uint64_t>(round) * 7919 + i * 104729 + 13)
                                        : static_cast<uint64_t>(round) * 997 + i / 8) %
                             keys.size()];
      changed.insert(fmt::format("{}_9.{}-{}_all.deb", at.substr(0, at.find('_')), round, i));
    }
    const std::vector<Bytes> added(changed.begin(), changed.end());
    const uint64_t before = chunk_bytes(*f.chunks);
    const double start = cpu_ms();
    SearchUpdateStats stats;
    root = must(update_search(f.nodes, *f.chunks, root, edits_of(added, SearchEdit::Kind::Added), &stats));
    ms.add(cpu_ms() - start);
    pages.add(static_cast<double>(stats.pages_written));
    read.add(static_cast<double>(stats.pages_read));
    bytes.add(static_cast<double>(chunk_bytes(*f.chunks) - before) / 1024);
  }
  fmt::print("add 100 {} x{}: ms {}; pages written {}; read {}; KiB into store {}\n",
             scattered ? "scattered" : "adjacent", rounds, ms.text(), pages.text(), read.text(), bytes.text());
  std::vector<Bytes> gone;
  for (size_t i = 0; i < 100; ++i) gone.push_back(keys[keys.size() / 100 * i]);
  const double start = cpu_ms();
  SearchUpdateStats stats;
  root = must(update_search(f.nodes, *f.chunks, root, edits_of(gone, SearchEdit::Kind::Removed), &stats));
  fmt::print("remove 100 scattered: {:.2f} ms, {} removed, {} pages written, {} read\n", cpu_ms() - start,
             stats.removed, stats.pages_written, stats.pages_read);
  fmt::print("root {}\n", root.id.hex());
}

void queries(Fixture& f, const tree::Root& root) {
  for (const char* text : {"libnetpyzy0", "netpy", "amd64 netpyconbaba2", "lib", "deb", "pool main deb",
                           "pool main lib", "pool arm64 i386", "12.2", "1", "nothinghere"}) {
    const double open_start = cpu_ms();
    auto index = must(SearchIndex::open(f.nodes, *f.chunks, root));
    const double cold_start = cpu_ms();
    const auto answer = must(index->query(text, 20, 0));
    const double cold = cpu_ms() - cold_start;
    Spread warm;
    for (int i = 0; i < 20; ++i) {
      const double start = cpu_ms();
      (void)must(index->query(text, 20, 0));
      warm.add(cpu_ms() - start);
    }
    fmt::print("query {:22} open {:.2f} ms, first {:7.2f} ms, then {:.2f} ms; {} hits{}\n", text,
               cold_start - open_start, cold, warm.values[10], answer.hits.size(),
               answer.complete ? "" : ", not all ranked");
  }
}

}  // namespace

int main(int argc, char** argv) {
  size_t keys_wanted = 1'000'000;
  int rounds = 50;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--keys") keys_wanted = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::string_view(argv[i]) == "--updates") rounds = std::atoi(argv[i + 1]);
  }
  std::vector<Bytes> keys;
  for (size_t n = 0; n < keys_wanted; ++n) keys.push_back(key_of(n));
  std::ranges::sort(keys);
  const auto repeated = std::ranges::unique(keys);
  keys.erase(repeated.begin(), repeated.end());
  uint64_t key_bytes = 0;
  for (const Bytes& key : keys) key_bytes += key.size();
  fmt::print("{} keys, {:.1f} bytes on average\n", keys.size(),
             static_cast<double>(key_bytes) / static_cast<double>(keys.size()));

  Fixture f;
  SearchUpdateStats stats;
  const double start = cpu_ms();
  const tree::Root root = must(update_search(f.nodes, *f.chunks, {}, edits_of(keys, SearchEdit::Kind::Added), &stats));
  const double took = cpu_ms() - start;
  fmt::print("build: {:.0f} ms, {:.0f} keys/s, {} pages put, {} read back\n", took,
             static_cast<double>(keys.size()) / took * 1e3, stats.pages_written, stats.pages_read);
  report_size(f, root, keys.size());
  updates(f, root, keys, rounds, false);
  updates(f, root, keys, rounds, true);
  queries(f, root);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak RSS {} MiB (chunks of the whole run and all keys included)\n", usage.ru_maxrss >> 10);
}
