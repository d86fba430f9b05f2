// Every writer of this module's edges and the model: a collection with no window at all, run between what it stored and
// its commit, takes nothing from it; and without the writer's session it does.
#include <gtest/gtest.h>

#include <functional>

#include "api/streams.h"
#include "api/testing.h"
#include "api/upload.h"
#include "chunk/test_bytes.h"
#include "collect/test_cell.h"

namespace hailstone::server {
namespace {

/// Passes all on to a store; runs `at_sync` at each sync, and may swallow the first session that is begun.
class WatchedStore final : public chunk::ChunkStore {
 public:
  explicit WatchedStore(std::unique_ptr<chunk::ChunkStore> store) : inner(std::move(store)) {}
  Result<ChunkId> put(ByteView bytes, chunk::Compress compress) override { return inner->put(bytes, compress); }
  Result<void> sync() override {
    if (at_sync) at_sync();
    return inner->sync();
  }
  Result<chunk::SharedBytes> get(const ChunkId& id) override { return inner->get(id); }
  Result<chunk::Stat> stat(const ChunkId& id) override { return inner->stat(id); }
  Result<chunk::Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    return inner->extent(id, form, offset, length);
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override { return inner->has(ids); }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return inner->touch(ids); }
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override { return inner->list(after, limit); }
  Result<void> erase(std::span<const ChunkId> ids) override { return inner->erase(ids); }
  std::unique_ptr<chunk::WriteSession> begin_writes() override {
    if (std::exchange(swallow, false)) return std::make_unique<chunk::WriteSession>();
    return inner->begin_writes();
  }
  Result<chunk::CollectionToken> begin_collection() override { return inner->begin_collection(); }
  Result<std::vector<bool>> collect(const chunk::CollectionToken& token, std::span<const ChunkId> ids) override {
    return inner->collect(token, ids);
  }
  void end_collection(const chunk::CollectionToken& token) override { inner->end_collection(token); }
  Result<Added> added_since(const chunk::Position& from) override { return inner->added_since(from); }
  Stats stats() const override { return inner->stats(); }

  std::unique_ptr<chunk::ChunkStore> inner;
  std::function<void()> at_sync;
  bool swallow = false;
};

struct WatchedCell : collect::testing::Cell {
  WatchedStore* watched = nullptr;
  publish::SigningKey signing = *publish::SigningKey::from_seed(Bytes(32, 's'));
  api::testing::FixedStatus status;
  std::optional<publish::Publisher> publisher;
  std::unique_ptr<api::Context> context;
  Bytes authorization;

  WatchedCell() {
    collector.reset();
    repository.reset();
    nodes.reset();
    auto store = std::make_unique<WatchedStore>(std::move(chunks));
    watched = store.get();
    chunks = std::move(store);
    nodes = std::make_unique<tree::CachedNodes>(*chunks, tree::CacheOptions{});
    repository = std::make_unique<volume::Repository>(group, *this->state, machine.published(), *chunks, *nodes, clock);
    collector = std::make_unique<collect::Collector>(*this->state, counts, *watched->inner, clock);
    publisher.emplace(*repository, signing, publish::PublisherOptions{}, logger);
    context.reset(
        new api::Context{{*repository, *publisher, status, signing.public_key(), Bytes(32, 'm'), logger}, {}});
    auto made = api::make_key("root", volume::Role::Admin, {"*"}, Bytes(32, 'm'), clock.wall());
    CHECK(repository->submit(caller, volume::PutKey{made->key}).has_value());
    authorization = "Bearer " + made->key.id + ":" + made->secret;
    create("vol", {.grace_seconds = 0});
  }
  api::Call call(http::Method method, const Bytes& path, Bytes body = {}) {
    const api::testing::Head head(method, Bytes(api::kPrefix) + path, {{"Authorization", authorization}});
    auto made = api::prepare(*context, head.get());
    CHECK(made.has_value());
    made->body = std::move(body);
    return *std::move(made);
  }
  /// Reads all that the state refers to, past every cache.
  bool whole() {
    tree::CachedNodes fresh(*chunks, tree::CacheOptions{});
    const auto read = [&](const ChunkId& id) -> Result<void> {
      TRY_DO(chunks->get(id));
      return {};
    };
    const auto read_content = [&](const chunk::Content& content) -> Result<void> {
      std::vector<ChunkId> ids;
      TRY_DO(chunk::for_each_chunk(*chunks, content, [&](const ChunkId& id) { ids.push_back(id); }));
      for (const ChunkId& id : ids) TRY_DO(read(id));
      return {};
    };
    const auto edits = volume::for_each_unsealed(
        *this->state, [&](ByteView, const chunk::Content& content) { return read_content(content); });
    const auto trees = volume::for_each_root(*this->state, [&](const volume::RootRef& ref) -> Result<void> {
      return tree::for_each_new_node(fresh, {}, ref.root, read, [&](ByteView, ByteView value) -> Result<void> {
        TRY(const auto entry, volume::Entry::decode(value));
        return volume::for_each_content(entry, read_content);
      });
    });
    return edits && trees;
  }
};

using Writer = std::function<bool(WatchedCell&)>;  // false: it was refused

/// Whether a collection at the writer's syncs takes nothing that it needs.
bool survives(const Writer& prepare, const Writer& writer, bool swallow) {
  WatchedCell cell;
  EXPECT_TRUE(prepare(cell));
  EXPECT_TRUE(cell.run());
  cell.watched->swallow = swallow;
  cell.watched->at_sync = [&] { EXPECT_TRUE(cell.run()); };
  const bool done = writer(cell);
  cell.watched->at_sync = {};
  return done && cell.whole();
}

void expect_protected(const Writer& prepare, const Writer& writer) {
  EXPECT_TRUE(survives(prepare, writer, false));
  EXPECT_FALSE(survives(prepare, writer, true)) << "passes without the session: the test proves nothing";
}

bool nothing(WatchedCell&) { return true; }
bool some_edits(WatchedCell& cell) {
  for (uint64_t i = 0; i < 200; ++i) cell.put("vol", "key" + std::to_string(i), chunk::noise(3000, i));
  return true;
}
bool a_release(WatchedCell& cell) {
  some_edits(cell);
  return cell.publisher->publish(cell.caller, {.items = {{.volume = "vol", .draft = {}, .message = {}}}}).has_value();
}

TEST(Writers, PutContent) {
  expect_protected(nothing, [](WatchedCell& cell) {
    const auto sink = api::content_sink(*cell.context, cell.call(http::Method::Put, "targets/vol/content?key=k"));
    return sink->take(chunk::noise(3'000'000, 1)) && sink->take(chunk::noise(1000, 2)) && sink->finish();
  });
}

TEST(Writers, Batch) {
  expect_protected(nothing, [](WatchedCell& cell) {
    const Bytes text(3000, 't');
    return api::run(*cell.context, cell.call(http::Method::Post, "targets/vol/batch",
                                             R"({"edits":[{"key":"a","text":")" + text + R"("}]})"))
        .has_value();
  });
}

TEST(Writers, BatchThatCopiesWhatIsBeingRemoved) {
  const auto prepare = [](WatchedCell& cell) {
    cell.put("vol", "from", chunk::noise(3000, 5));
    return true;
  };
  expect_protected(prepare, [](WatchedCell& cell) {
    // Removed and collected between the look at it and the commit of its copy.
    bool once = true;
    cell.watched->at_sync = [&cell, &once, collect = cell.watched->at_sync] {
      if (std::exchange(once, false)) cell.remove("vol", "from");  // syncs, and so comes here again
      collect();
    };
    return api::run(*cell.context, cell.call(http::Method::Post, "targets/vol/batch",
                                             R"({"edits":[{"key":"to","copy_from":{"target":"vol","key":"from"}}]})"))
        .has_value();
  });
}

TEST(Writers, Upload) {
  expect_protected(nothing, [](WatchedCell& cell) {
    mirror::WireEncoder wire;
    CHECK(wire.put_inline("small", volume::Entry{}, Bytes(60'000, 's')).has_value());
    const Bytes big = chunk::noise(3'000'000, 1);
    CHECK(wire.begin_put("big", volume::Entry{}, big.size()).has_value());
    wire.data(big);
    wire.done(sha256(big));
    wire.end();
    api::Upload upload(*cell.repository, cell.caller, cell.target("vol"));
    return upload.feed(wire.take()) && upload.finish();
  });
}

TEST(Writers, Seal) {
  expect_protected(some_edits, [](WatchedCell& cell) {
    return cell.repository->seal(**cell.repository->volume("vol"), volume::kHeadLayer).has_value();
  });
}

TEST(Writers, Publish) {
  const auto sealed = [](WatchedCell& cell) {
    some_edits(cell);
    return cell.repository->seal(**cell.repository->volume("vol"), volume::kHeadLayer).has_value();
  };
  expect_protected(sealed, [](WatchedCell& cell) {
    return cell.publisher->publish(cell.caller, {.items = {{.volume = "vol", .draft = {}, .message = {}}}}).has_value();
  });
}

TEST(Writers, Revert) {
  const auto prepare = [](WatchedCell& cell) {
    if (!a_release(cell)) return false;
    cell.put("vol", "key7", chunk::noise(3000, 77));
    return cell.publisher->publish(cell.caller, {.items = {{.volume = "vol", .draft = {}, .message = {}}}}).has_value();
  };
  expect_protected(prepare, [](WatchedCell& cell) {
    return cell.publisher->revert(cell.caller, "vol", ReleaseNumber(1), {"current"}, {}).has_value();
  });
}

}  // namespace
}  // namespace hailstone::server
