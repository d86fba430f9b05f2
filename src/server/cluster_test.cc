// Three whole nodes in one process, over loopback: keys, volumes, chunks and flips through any of them.
#include "server/cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <set>
#include <thread>

#include "chunk/content.h"
#include "server/cell_service.h"
#include "server/node.h"

namespace hailstone::server {
namespace {

constexpr int64_t kSoonNs = 20'000'000'000;  // a failed test's wait, never a passing one's

class ClusterTest : public testing::Test {
 protected:
  static constexpr uint64_t kNodes = 3;

  struct Member {
    std::unique_ptr<GroupHost> groups;
    std::unique_ptr<Node> node;
    std::unique_ptr<CellService> cell;  // goes first
    ~Member() { stop(); }
    void stop() {
      if (!node) return;
      cell->stop();
      node->drain();
      cell.reset();
      node.reset();
      groups.reset();
    }
  };

  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cluster_test_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    // Ports that were free a moment ago.
    for (uint64_t i = 0; i < kNodes; ++i) ports_.push_back(free_port());
    for (uint64_t i = 0; i < kNodes; ++i) started_.push_back(std::async(std::launch::async, [this, i] { start(i); }));
    for (auto& each : started_) each.get();
  }
  void TearDown() override {
    std::vector<std::future<void>> stopped;
    for (auto& member : members_) stopped.push_back(std::async(std::launch::async, [&member] { member.stop(); }));
    for (auto& each : stopped) each.get();
    std::filesystem::remove_all(base_);
  }

  static uint16_t free_port() {
    net::asio::io_context loop;
    net::asio::ip::tcp::acceptor acceptor(loop, {net::asio::ip::address_v4::loopback(), 0});
    return acceptor.local_endpoint().port();
  }
  Config config(uint64_t i) const {
    Config out;
    out.data = fmt::format("{}/{}", base_, i + 1);
    out.store_reserve_bytes = 1u << 20;
    out.store_segment_bytes = 8u << 20;
    out.group_segment_bytes = 1u << 20;
    out.cluster.groups = 2;
    out.cell.id = i + 1;
    out.cell.port = out.cell.data_port = 0;
    out.cell.member_port = ports_[i];
    for (uint64_t k = 0; k < kNodes; ++k) out.cell.members.push_back(fmt::format("{}=127.0.0.1:{}", k + 1, ports_[k]));
    return out;
  }
  void start(uint64_t i) {
    Member& member = members_[i];
    const Config own = config(i);
    auto disk = disk::make_real_disk();
    auto directory = DataDirectory::open(*disk, own.data);
    ASSERT_TRUE(directory) << directory.error().message;
    auto groups =
        GroupHost::open(*disk_, clock_, own.cell, {.directory = own.data, .segment_bytes = own.group_segment_bytes},
                        replica::WardReporter(), logger_);
    ASSERT_TRUE(groups) << groups.error().message;
    member.groups = *std::move(groups);
    auto node = Node::open(own, *std::move(directory), std::move(disk), *member.groups, logger_);
    ASSERT_TRUE(node) << node.error().message;
    member.node = *std::move(node);
    auto cell = CellService::open(*member.groups, clock_, own.data + "/cell", logger_);
    ASSERT_TRUE(cell) << cell.error().message;
    member.cell = *std::move(cell);
    ASSERT_TRUE(member.groups->start());
    ASSERT_TRUE(member.cell->start());
    const auto found = member.node->found({.http = "", .s3 = "", .cell_port = member.cell->port()}, {});
    ASSERT_TRUE(found) << found.error().message;
  }
  void stop(uint64_t i) { members_[i].stop(); }
  Node& node(uint64_t i) { return *members_[i].node; }

  void put(uint64_t i, const Bytes& volume, Bytes key, ByteView bytes) {
    volume::Repository& repository = node(i).repository();
    ASSERT_TRUE(repository.settle_and_wait(ByteView(volume).substr(0, volume.find('@'))));
    const auto session = repository.chunks().begin_writes();
    volume::Entry entry;
    auto content = chunk::write_content(repository.chunks(), {}, bytes);
    ASSERT_TRUE(content) << content.error().message;
    entry.content = *std::move(content);
    const auto synced = repository.chunks().sync();
    ASSERT_TRUE(synced) << synced.error().message;
    const auto target = repository.resolve(volume);
    ASSERT_TRUE(target) << target.error().message;
    const auto written = repository.write(caller_, *target, {}, {{std::move(key), entry}});
    ASSERT_TRUE(written) << written.error().message;
  }
  Bytes get(uint64_t i, const std::string& where, ByteView key) {
    volume::Repository& repository = node(i).repository();
    const auto settled = repository.settle_and_wait(ByteView(where).substr(0, where.find('@')));
    if (!settled) return "not settled: " + settled.error().message;
    const auto target = repository.resolve(where);
    if (!target) return "no target: " + target.error().message;
    const auto contents = repository.open(*target);
    if (!contents) return "not opened: " + contents.error().message;
    const auto entry = (*contents)->get(key);
    if (!entry) return "failed: " + entry.error().message;
    if (!*entry) return "(none)";
    auto bytes = chunk::read_content(repository.chunks(), (*entry)->content, 0, (*entry)->content.bytes, UINT64_MAX);
    return bytes ? *std::move(bytes) : "unreadable: " + bytes.error().message;
  }
  /// What node `i` shows of channel "current"; 0: nothing.
  uint64_t shown(uint64_t i, const Bytes& volume) {
    std::promise<Result<flip::LivePtr>> answer;
    auto answered = answer.get_future();
    node(i).channels()->resolve(volume, "current", clock_.monotonic_ns() + kSoonNs,
                                [&](Result<flip::LivePtr> live) { answer.set_value(std::move(live)); });
    const auto live = answered.get();
    EXPECT_TRUE(live) << live.error().message;
    return live && (*live)->file ? (*live)->file->current().release.value : 0;
  }
  uint64_t publish(uint64_t i, const Bytes& volume) {
    const auto done = node(i).publisher().publish(caller_, {.items = {{volume, DraftId(), "m"}}});
    EXPECT_TRUE(done) << done.error().error.message;
    return done ? done->at(0).release.value : 0;
  }

  std::string base_;
  std::vector<uint16_t> ports_;
  const std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  SystemClock clock_;
  NullLogger logger_;
  std::array<Member, kNodes> members_;
  std::vector<std::future<void>> started_;
  const volume::Caller caller_{"tester", {}};
};

TEST_F(ClusterTest, AnyNodeWritesPublishesAndShows) {
  ASSERT_TRUE(node(1).repository().submit(caller_, volume::CreateVolume{"site", {}, {}}));
  const Bytes big(3'000'000, 'b');
  put(2, "site", "big", big);
  put(0, "site", "small", "one");
  for (uint64_t i = 0; i < kNodes; ++i) {
    EXPECT_EQ(get(i, "site", "small"), "one");
    EXPECT_EQ(get(i, "site", "big"), big);
    EXPECT_EQ(shown(i, "site"), 0u);
  }
  for (uint64_t round = 1; round <= 6; ++round) {
    put(round % kNodes, "site", "small", fmt::format("{}", round));
    ASSERT_EQ(publish((round + 1) % kNodes, "site"), round);
    for (uint64_t i = 0; i < kNodes; ++i) EXPECT_EQ(shown(i, "site"), round);
    EXPECT_EQ(get((round + 2) % kNodes, fmt::format("site@{}", round), "small"), fmt::format("{}", round));
  }
}

TEST_F(ClusterTest, PublishersOfOneVolumeOnSeveralNodesLoseNothing) {
  ASSERT_TRUE(node(0).repository().submit(caller_, volume::CreateVolume{"site", {}, {}}));
  put(0, "site", "k", "v");
  ASSERT_EQ(publish(0, "site"), 1u);
  std::vector<std::future<void>> publishers;
  for (uint64_t i = 0; i < 6; ++i)
    publishers.push_back(std::async(std::launch::async, [this, i] {
      for (int round = 0; round < 4; ++round) {
        volume::Repository& repository = node(i % kNodes).repository();
        ASSERT_TRUE(repository.settle_and_wait("site"));
        const auto v = repository.volume("site");
        ASSERT_TRUE(v);
        const volume::Flip* at = (*v)->channel("current");
        const auto opened = repository.submit(caller_, volume::OpenDraft{"site", at->release, at->root, "draft"});
        ASSERT_TRUE(opened) << opened.error().message;
        const Bytes draft = fmt::format("site@draft-{}", opened->number);
        put(i % kNodes, draft, fmt::format("{}/{}", i, round), "x");
        const auto done =
            node(i % kNodes).publisher().publish(caller_, {.items = {{"site", DraftId(opened->number), "m"}}});
        ASSERT_TRUE(done) << done.error().error.message;
      }
    }));
  for (auto& each : publishers) each.get();
  EXPECT_EQ(shown(2, "site"), 25u);
  for (uint64_t i = 0; i < 6; ++i)
    for (int round = 0; round < 4; ++round) EXPECT_EQ(get(1, "site@25", fmt::format("{}/{}", i, round)), "x");
}

TEST_F(ClusterTest, ALostNodeCostsNothingButItself) {
  ASSERT_TRUE(node(0).repository().submit(caller_, volume::CreateVolume{"site", {}, {}}));
  put(0, "site", "k", "before");
  ASSERT_EQ(publish(0, "site"), 1u);
  stop(2);
  put(1, "site", "k", "after");
  ASSERT_EQ(publish(1, "site"), 2u);
  EXPECT_EQ(shown(0, "site"), 2u);
  EXPECT_EQ(get(0, "site@2", "k"), "after");
  start(2);
  EXPECT_EQ(shown(2, "site"), 2u);
  EXPECT_EQ(get(2, "site@2", "k"), "after");
  EXPECT_EQ(node(2).master_key(), node(0).master_key());
}

TEST_F(ClusterTest, SeveralVolumesOfSeveralGroupsAreShownTogether) {
  std::vector<publish::Item> items;
  std::set<uint8_t> groups;
  for (int i = 0; i < 6; ++i) {
    const Bytes name = fmt::format("volume-{}", i);
    ASSERT_TRUE(node(i % kNodes).repository().submit(caller_, volume::CreateVolume{name, {}, {}}));
    put(0, name, "k", "v");
    items.push_back({name, DraftId(), "m"});
    groups.insert(volume::group_of((*node(0).repository().volume(name))->record.id));
  }
  ASSERT_EQ(groups.size(), 2u);
  const auto done = node(0).publisher().publish(caller_, {.items = items});
  ASSERT_TRUE(done) << done.error().error.message;
  for (uint64_t i = 0; i < kNodes; ++i)
    for (const auto& item : items) EXPECT_EQ(shown(i, item.volume), 1u);
}

}  // namespace
}  // namespace hailstone::server
