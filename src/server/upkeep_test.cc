#include "server/upkeep.h"

#include <gtest/gtest.h>

#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"

namespace hailstone::server {
namespace {

using api::Chore;

struct Cell {
  disk::SimDisk* disk = nullptr;
  NullLogger logger;
  Config config;
  std::unique_ptr<Node> node;
  std::unique_ptr<Upkeep> upkeep;
  volume::Caller caller{"tester", {}};

  Cell() {
    config.data = "/node";
    config.store_segment_bytes = 1u << 20;
    config.store_reserve_bytes = 4u << 20;
    config.collect_interval_seconds = 0;
    config.collect_trash_seconds = 0;
    config.scrub_bytes_per_second = 0;
    config.compact_bytes_per_second = 0;
    config.group_segment_bytes = 1u << 20;
    auto made = std::make_unique<disk::SimDisk>();
    disk = made.get();
    auto opened = Node::open(config, std::move(made), logger);
    EXPECT_TRUE(opened) << opened.error().message;
    node = *std::move(opened);
    upkeep = std::make_unique<Upkeep>(*node, logger);
    upkeep->start();
    EXPECT_TRUE(repository().submit(
        caller, volume::CreateVolume{"vol", {.grace_seconds = 0, .keep_releases = 1, .trash_seconds = 0}, {}}));
  }
  volume::Repository& repository() { return node->repository(); }
  Result<volume::Written> put(const Bytes& key, ByteView bytes) {
    const auto session = node->store().begin_writes();
    volume::Entry entry;
    TRY(entry.content, chunk::write_content(node->store(), {}, bytes));
    TRY_DO(node->store().sync());
    TRY(const auto target, repository().resolve("vol"));
    return repository().write(caller, target, {}, {{key, entry}});
  }
  void remove(const Bytes& key) {
    ASSERT_TRUE(repository().write(caller, *repository().resolve("vol"), {}, {{key, std::nullopt}}));
  }
  /// Asks and waits; the result.
  api::Json run(Chore chore, api::ChoreOptions options = {}) {
    const uint64_t ticket = upkeep->ask(chore, options);
    for (;;) {
      const auto state = upkeep->status()[std::string(api::chore_name(chore))];
      if (state["finished"].get<uint64_t>() >= ticket) {
        EXPECT_TRUE(state["error"].is_null()) << state["error"];
        return state["result"];
      }
      std::this_thread::yield();
    }
  }
};

TEST(Upkeep, GivesBackTheSpaceOfWhatWasRemoved) {
  Cell cell;
  for (uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(cell.put("key" + std::to_string(i), chunk::noise(200'000, i)));
  cell.run(Chore::Collect);
  const uint64_t full = cell.node->store().stats().disk_bytes;
  for (uint64_t i = 4; i < 40; ++i) cell.remove("key" + std::to_string(i));
  const auto dry = cell.run(Chore::Collect, {.dry_run = true});
  EXPECT_EQ(cell.node->store().stats().disk_bytes, full);
  cell.run(Chore::Collect);
  EXPECT_LT(cell.node->store().stats().disk_bytes, full / 2);
  for (uint64_t i = 0; i < 4; ++i) {
    const auto entry = (*cell.repository().open(*cell.repository().resolve("vol")))->get("key" + std::to_string(i));
    EXPECT_EQ(*chunk::read_content(cell.node->store(), (*entry)->content, 0, 200'000, 1 << 20),
              chunk::noise(200'000, i));
  }
  EXPECT_GE(cell.run(Chore::Verify)["reachable_chunks"], 0);
  EXPECT_GT(cell.upkeep->totals().erased_chunks, 30u);
}

TEST(Upkeep, LetsReleasesGoByPolicy) {
  Cell cell;
  for (uint64_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(cell.put("key", chunk::noise(100'000, i)));
    ASSERT_TRUE(
        cell.node->publisher().publish(cell.caller, {.items = {{.volume = "vol", .draft = {}, .message = {}}}}));
  }
  // Grace of 0 s ends when the clock has moved on.
  for (int rounds = 0; rounds < 1000; ++rounds) {
    cell.run(Chore::Collect);
    const auto v = *cell.repository().volume("vol");
    if (cell.repository().releases(*v, ReleaseNumber(), 10)->size() == 1 && v->trashed.empty()) break;
  }
  const auto v = *cell.repository().volume("vol");
  const auto left = *cell.repository().releases(*v, ReleaseNumber(), 10);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].number, ReleaseNumber(4));
  EXPECT_EQ(cell.upkeep->totals().releases_purged, 3u);
  EXPECT_EQ(cell.repository().resolve("vol@2").error().code, Code::NotFound);
}

TEST(Upkeep, CollectsOnAFullDisk) {
  Cell cell;
  const uint64_t room = cell.disk->used_bytes() + (24u << 20);
  cell.disk->set_capacity(room);
  uint64_t last = 0;
  for (; last < 1000; ++last)
    if (!cell.put("key" + std::to_string(last), chunk::noise(500'000, last))) break;
  ASSERT_LT(last, 1000u);
  for (uint64_t i = 0; i < last; ++i) cell.remove("key" + std::to_string(i));
  for (int rounds = 0; rounds < 3; ++rounds) cell.run(Chore::Collect);
  const auto again = cell.put("again", chunk::noise(500'000, 5000));
  EXPECT_TRUE(again) << again.error().message;
}

TEST(Upkeep, ScrubsAllAndFindsDamage) {
  Cell cell;
  for (uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(cell.put("key" + std::to_string(i), chunk::noise(200'000, i)));
  const auto clean = cell.run(Chore::Scrub);
  EXPECT_GE(clean["chunks"], 20);
  EXPECT_EQ(clean["damaged"], 0);
  ASSERT_TRUE(cell.disk->flip("/node/chunks/00000001.seg", 300'000));
  EXPECT_EQ(cell.run(Chore::Scrub)["damaged"], 1);
}

}  // namespace
}  // namespace hailstone::server
