// A repository over a local store on a simulated disk, with a collector whose database forgets like RocksDB without a
// log: what tests of collection run on.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/check.h"
#include "chunk/local_store.h"
#include "chunk/test_bytes.h"
#include "collect/collector.h"
#include "disk/sim_disk.h"
#include "publish/derived.h"
#include "publish/page_file.h"
#include "volume/roots.h"
#include "volume/testing.h"

namespace hailstone::collect::testing {

/// Counts its operations; a crash takes it back to its last flush.
class ForgetfulDatabase final : public replica::Database {
 public:
  Result<std::optional<Bytes>> get(ByteView key) const override {
    ++operations;
    return live_->get(key);
  }
  std::unique_ptr<replica::Iterator> iterate(ByteView begin, ByteView end) const override {
    ++operations;
    return live_->iterate(begin, end);
  }
  Result<void> write(const replica::Batch& batch) override {
    operations += batch.ops().size();
    unflushed_.push_back(batch);
    return live_->write(batch);
  }
  std::unique_ptr<replica::Reader> snapshot() const override { return live_->snapshot(); }
  Result<void> flush() override {
    for (const auto& batch : unflushed_) TRY_DO(durable_->write(batch));
    unflushed_.clear();
    return {};
  }
  uint64_t unflushed_bytes() const override { return unflushed_.size(); }
  /// `lucky`: how many of the writes since the last flush made it.
  void crash(size_t lucky) {
    for (size_t i = 0; i < std::min(lucky, unflushed_.size()); ++i) CHECK(durable_->write(unflushed_[i]).has_value());
    unflushed_.clear();
    live_ = replica::make_memory_database();
    replica::Batch all;
    for (auto rows = durable_->iterate("", "\xff"); rows->valid(); rows->next())
      all.put(Bytes(rows->key()), Bytes(rows->value()));
    CHECK(live_->write(all).has_value());
  }
  void lose() {
    live_ = replica::make_memory_database();
    durable_ = replica::make_memory_database();
    unflushed_.clear();
  }

  mutable uint64_t operations = 0;

 private:
  std::unique_ptr<replica::Database> live_ = replica::make_memory_database();
  std::unique_ptr<replica::Database> durable_ = replica::make_memory_database();
  std::vector<replica::Batch> unflushed_;
};

/// The group's database never forgets here: its log would bring it back.
struct Cell {
  disk::SimDisk disk;
  NullLogger logger;
  std::unique_ptr<replica::Database> state = replica::make_memory_database();
  ForgetfulDatabase counts;
  volume::testing::ManualClock clock;
  volume::Machine machine;
  std::unique_ptr<chunk::ChunkStore> chunks;
  std::unique_ptr<tree::CachedNodes> nodes;
  volume::testing::InlineGroup group{*state, machine};
  std::unique_ptr<volume::Repository> repository;
  std::unique_ptr<Collector> collector;
  volume::Caller caller{"tester", {}};
  uint64_t reserve_bytes = 0;  // for the next open()

  Cell() {
    CHECK(machine.load(*state).has_value());
    open();
  }
  void open() {
    chunk::LocalStoreOptions options;
    options.directory = "/store";
    options.segment_bytes = 60'000;
    options.reserve_bytes = reserve_bytes;
    auto opened = chunk::LocalStore::open(disk, options, logger);
    CHECK(opened.has_value());
    chunks = std::move(*opened);
    nodes = std::make_unique<tree::CachedNodes>(*chunks, tree::CacheOptions{});
    repository = std::make_unique<volume::Repository>(group, *state, machine.published(), *chunks, *nodes, clock);
    collector = std::make_unique<Collector>(*state, counts, *chunks, clock);
  }
  void close() {
    collector.reset();
    repository.reset();
    nodes.reset();
    chunks.reset();
  }
  void crash(disk::SimDisk::CrashMode mode, uint64_t seed) {
    disk.crash();
    close();
    disk.restart(mode, seed);
    counts.crash(seed % 5);
    open();
  }

  volume::Target target(std::string_view text) {
    auto found = repository->resolve(text);
    CHECK(found.has_value());
    return *std::move(found);
  }
  void create(Bytes name, volume::Settings settings = {.grace_seconds = 100}) {
    CHECK(repository->submit(caller, volume::CreateVolume{std::move(name), std::move(settings), {}}).has_value());
  }
  volume::Entry file(ByteView bytes) {
    volume::Entry entry;
    auto content = chunk::write_content(
        *chunks, {.min_bytes = 256, .average_bytes = 1024, .max_bytes = 4096, .compress = chunk::Compress::Never},
        bytes);
    CHECK(content.has_value());
    entry.content = *std::move(content);
    return entry;
  }
  void commit(std::string_view where, Bytes key, std::optional<volume::Entry> entry) {
    CHECK(chunks->sync().has_value());
    CHECK(repository->write(caller, target(where), {}, {{std::move(key), std::move(entry)}}).has_value());
  }
  void put(std::string_view where, Bytes key, ByteView bytes) {
    const auto session = chunks->begin_writes();
    commit(where, std::move(key), file(bytes));
  }
  void remove(std::string_view where, Bytes key) { commit(where, std::move(key), std::nullopt); }

  /// A release's derived data as publish makes it: an entry with content and the root of a tree of pages.
  tree::Root derive(uint64_t seed) {
    publish::PageFile pages(*nodes, *chunks, {});
    CHECK(pages.write(0, chunk::noise(20'000, seed % 3)).has_value());
    const auto search = pages.flush();
    CHECK(search.has_value());
    volume::Entry root;
    root.content = chunk::write_content(*chunks, {}, search->id.view()).value();
    return tree::apply(*nodes, {},
                       std::vector<tree::Edit>{{"feed.atom", file(chunk::noise(3000, seed)).encode().value(), 1},
                                               {"search", root.encode().value(), 1}})
        .value();
  }
  void release(const Bytes& name, bool derived = false) {
    const auto session = chunks->begin_writes();
    const auto v = *repository->volume(name);
    const auto sealed = repository->seal(*v, volume::kHeadLayer);
    CHECK(sealed.has_value());
    volume::ReleaseRecord record;
    record.volume = v->record.id;
    record.volume_name = name;
    record.number = v->record.last_release.next();
    record.parent = v->record.last_release;
    record.root = sealed->root;
    if (derived) record.derived = derive(record.number.value);
    CHECK(chunks->sync().has_value());
    record.time = clock.wall();
    volume::Commit commit;
    commit.releases.push_back({name, record, {}, 0, {}, {}});
    commit.flips.push_back({name, "current", record.number, {}});
    CHECK(repository->submit(caller, commit).has_value());
  }

  /// What the state refers to, walked without counts.
  std::set<ChunkId> reachable() {
    std::set<ChunkId> out;
    const auto content_of = [&](const chunk::Content& content) {
      return chunk::for_each_chunk(*chunks, content, [&](const ChunkId& id) { out.insert(id); });
    };
    const auto note = [&](const ChunkId& id) -> Result<void> {
      out.insert(id);
      return {};
    };
    CHECK(volume::for_each_unsealed(*state, [&](ByteView, const chunk::Content& c) {
            return content_of(c);
          }).has_value());
    const auto walked = volume::for_each_root(*state, [&](const volume::RootRef& ref) -> Result<void> {
      if (out.contains(ref.root.id)) return {};
      return tree::for_each_new_node(*nodes, {}, ref.root, note, [&](ByteView, ByteView value) -> Result<void> {
        TRY(const auto entry, volume::Entry::decode(value));
        return volume::for_each_content(entry, content_of);
      });
    });
    EXPECT_TRUE(walked) << walked.error().message;
    EXPECT_TRUE(volume::for_each_root(*state, [&](const volume::RootRef& ref) -> Result<void> {
      if (ref.kind != volume::RootKind::Derived) return {};
      TRY(const auto search, publish::search_root(*nodes, ref.root));
      return tree::for_each_new_node(*nodes, {}, search, note, [&](ByteView, ByteView value) -> Result<void> {
        TRY(const auto page, publish::page_chunk(value));
        return note(page);
      });
    }));
    return out;
  }
  /// Everything reachable is there, byte for byte.
  void expect_whole() {
    // Cached nodes would hide what the store has lost.
    nodes = std::make_unique<tree::CachedNodes>(*chunks, tree::CacheOptions{});
    repository = std::make_unique<volume::Repository>(group, *state, machine.published(), *chunks, *nodes, clock);
    for (const ChunkId& id : reachable()) {
      const auto got = chunks->get(id);
      ASSERT_TRUE(got) << got.error().message;
    }
  }
  std::set<ChunkId> stored() {
    std::set<ChunkId> out;
    for (ChunkId after;;) {
      const auto some = chunks->list(after, 1000).value();
      if (some.empty()) return out;
      out.insert(some.begin(), some.end());
      after = some.back();
    }
  }
  Result<CollectReport> run(uint64_t window = 0) {
    return collector->run_once(
        {.trash_window_seconds = window}, [] { return false; }, [](std::string_view, uint64_t) {});
  }
  Result<chunk::LocalStore::Compacted> compact(uint32_t dead_percent = 10) {
    return dynamic_cast<chunk::LocalStore&>(*chunks).compact({.dead_percent = dead_percent, .pace = {}},
                                                             [] { return false; });
  }
};

}  // namespace hailstone::collect::testing
