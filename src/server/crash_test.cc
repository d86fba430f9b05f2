// A whole node on the simulated disk: crash at any operation of put, seal, publish and rollback, reopen, and everything
// acknowledged is there and equal, nothing is half, and the store opens by itself.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "disk/sim_disk.h"
#include "server/node.h"
#include "volume/contents.h"

namespace hailstone::server {
namespace {

using disk::SimDisk;

/// Lets the node own "its" disk while the test keeps it over restarts.
class BorrowedDisk final : public disk::Disk {
 public:
  explicit BorrowedDisk(SimDisk& disk) : disk_(disk) {}
  Result<std::unique_ptr<disk::File>> open(const std::string& p, disk::OpenMode m) override { return disk_.open(p, m); }
  Result<void> rename(const std::string& a, const std::string& b) override { return disk_.rename(a, b); }
  Result<void> remove(const std::string& p) override { return disk_.remove(p); }
  Result<void> make_directories(const std::string& p) override { return disk_.make_directories(p); }
  Result<void> remove_directory(const std::string& p) override { return disk_.remove_directory(p); }
  Result<std::vector<std::string>> list(const std::string& p) const override { return disk_.list(p); }
  Result<bool> exists(const std::string& p) const override { return disk_.exists(p); }
  Result<bool> is_directory(const std::string& p) const override { return disk_.is_directory(p); }
  Result<uint64_t> file_size(const std::string& p) const override { return disk_.file_size(p); }
  Result<void> sync_directory(const std::string& p) override { return disk_.sync_directory(p); }
  Result<uint64_t> free_bytes(const std::string& p) const override { return disk_.free_bytes(p); }
  Result<std::unique_ptr<disk::DirectoryLock>> lock(const std::string& p) override { return disk_.lock(p); }

 private:
  SimDisk& disk_;
};

Config small() {
  Config config;
  config.data = "data";
  config.store_segment_bytes = 256 << 10;
  config.store_reserve_bytes = 0;
  config.database_memtable_bytes = 64 << 10;
  config.group_segment_bytes = 64 << 10;
  config.group_flush_bytes = 8 << 10;
  return config;
}

Result<std::unique_ptr<Node>> start(SimDisk& disk, const Config& config = small()) {
  static NullLogger logger;
  return Node::open(config, std::make_unique<BorrowedDisk>(disk), logger);
}

/// Bytes that differ per key and round: small ones inline, larger ones in chunks of their own.
Bytes content(int round, int key) {
  const Bytes word = "round " + std::to_string(round) + " key " + std::to_string(key) + ";";
  Bytes out;
  while (out.size() < static_cast<size_t>(key % 3 == 0 ? 20 : key % 3 == 1 ? 3000 : 70'000)) out += word;
  return out;
}

/// What a client was told. Each step that was cut short may or may not have happened; what was acknowledged must have.
struct Told {
  int rounds_put = 0;  // whole rounds of puts acknowledged
  int rounds_started = 0;
  uint64_t released = 0;  // highest release acknowledged
  uint64_t release_started = 0;
  uint64_t current = 0;  // release that the channel was last acknowledged to be at
  bool flip_started = false;
};

constexpr int kRounds = 3;
constexpr int kKeys = 4;
const Bytes kVolume = "repo";

Result<void> work(Node& node, Told& told) {
  volume::Repository& repository = node.repository();
  const volume::Caller caller{"tester", {}};
  if (!repository.volume(kVolume)) TRY_DO(repository.submit(caller, volume::CreateVolume{kVolume, {}, {}}));
  for (int round = 1; round <= kRounds; ++round) {
    told.rounds_started = round;
    TRY(const auto head, repository.resolve(kVolume));
    std::vector<volume::Put> puts;
    for (int key = 0; key < kKeys; ++key) {
      volume::Entry entry;
      TRY(entry.content, chunk::write_content(repository.chunks(), {}, content(round, key)));
      puts.push_back({"key" + std::to_string(key), entry});
    }
    TRY_DO(repository.chunks().sync());
    TRY_DO(repository.write(caller, head, {}, puts));
    told.rounds_put = round;
    if (round == 2) TRY_DO(repository.seal(*head.volume, volume::kHeadLayer));
    told.flip_started = true;
    told.release_started = static_cast<uint64_t>(round);
    auto published = node.publisher().publish(caller, {.items = {{kVolume, {}, ""}}});
    if (!published) return std::unexpected(std::move(published).error().error);
    told.released = told.current = published->at(0).release.value;
    told.flip_started = false;
  }
  told.flip_started = true;
  TRY_DO(node.publisher().rollback(caller, kVolume, "current", {}));
  told.current = told.released - 1;
  told.flip_started = false;
  return {};
}

Bytes read(Node& node, std::string_view where, int key) {
  const auto target = node.repository().resolve(where);
  if (!target) return "(no " + std::string(where) + ")";
  const auto contents = node.repository().open(*target);
  if (!contents) return contents.error().message;
  const auto entry = (*contents)->get("key" + std::to_string(key));
  if (!entry) return entry.error().message;
  if (!*entry) return "(absent)";
  auto bytes = chunk::read_content(node.repository().chunks(), (*entry)->content, 0, (*entry)->content.bytes, 1 << 20);
  return bytes ? *std::move(bytes) : bytes.error().message;
}

void expect_kept(Node& node, const Told& told) {
  if (told.rounds_put == 0 && told.rounds_started == 0) return;
  if (told.rounds_started > 0 && node.repository().volume(kVolume)) {
    // The head shows one whole round: the last acknowledged, or the one that was on its way.
    int found = -1;
    for (int round = told.rounds_put; round <= told.rounds_started; ++round) {
      if (round == 0) {
        if (read(node, kVolume, 0) == "(absent)") found = 0;
      } else if (read(node, kVolume, 0) == content(round, 0)) {
        found = round;
      }
    }
    ASSERT_GE(found, 0) << "head has neither what was acknowledged nor what was on its way: "
                        << read(node, kVolume, 0).substr(0, 80);
    for (int key = 0; key < kKeys; ++key)
      ASSERT_EQ(read(node, kVolume, key), found == 0 ? Bytes("(absent)") : content(found, key)) << "half a batch";
  }
  for (uint64_t release = 1; release <= told.released; ++release)
    for (int key = 0; key < kKeys; ++key)
      ASSERT_EQ(read(node, kVolume + "@" + std::to_string(release), key), content(static_cast<int>(release), key));
  const auto v = node.repository().volume(kVolume);
  if (!v) {
    ASSERT_EQ(told.rounds_put, 0);
    return;
  }
  const volume::Flip* flip = (*v)->channel("current");
  const uint64_t at = flip ? flip->release.value : 0;
  if (!told.flip_started) {
    ASSERT_EQ(at, told.current);
  } else {
    const uint64_t next =
        told.current == told.release_started ? told.current - 1 : told.release_started;  // rollback, or publish
    ASSERT_TRUE(at == told.current || at == next) << at << " is neither " << told.current << " nor " << next;
  }
  if (at != 0)
    for (int key = 0; key < kKeys; ++key)
      ASSERT_EQ(read(node, kVolume + "@current", key), content(static_cast<int>(at), key));
}

uint64_t operations_of_a_run() {
  SimDisk disk;
  auto node = start(disk);
  EXPECT_TRUE(node) << node.error().message;
  Told told;
  const auto done = work(**node, told);
  EXPECT_TRUE(done) << done.error().message;
  (*node)->drain();
  return disk.operations();
}

class NodeCrash : public ::testing::TestWithParam<SimDisk::CrashMode> {};

TEST_P(NodeCrash, AtAnyOperationLosesNothingAcknowledgedAndLeavesNothingHalf) {
  const uint64_t operations = operations_of_a_run();
  uint64_t crashed = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    SimDisk disk;
    disk.crash_at(at);
    Told told;
    if (auto node = start(disk)) (void)work(**node, told);
    crashed += disk.crashed();
    disk.restart(GetParam(), at);
    auto again = start(disk);
    ASSERT_TRUE(again) << "crash at operation " << at << ": " << again.error().message;
    ASSERT_NO_FATAL_FAILURE(expect_kept(**again, told)) << "crash at operation " << at;
    // And it works on: the same work again, to the end.
    Told anew;
    const auto done = work(**again, anew);
    ASSERT_TRUE(done) << "crash at operation " << at << ": " << done.error().message;
  }
  // RocksDB's background work makes runs differ a little in length.
  EXPECT_GT(crashed, operations * 8 / 10);
  std::printf("crashed at %llu of %llu operations\n", static_cast<unsigned long long>(crashed),
              static_cast<unsigned long long>(operations));
}

INSTANTIATE_TEST_SUITE_P(Modes, NodeCrash,
                         ::testing::Values(SimDisk::CrashMode::Drop, SimDisk::CrashMode::Keep,
                                           SimDisk::CrashMode::Torn),
                         [](const auto& parameter) {
                           return std::string(parameter.param == SimDisk::CrashMode::Drop   ? "Drop"
                                              : parameter.param == SimDisk::CrashMode::Keep ? "Keep"
                                                                                            : "Torn");
                         });

TEST(NodeDisk, FullDiskRefusesWritesAndKeepsReadsAndRollback) {
  // Small commands live off the zero-filled log and the database's memory: as in life, there is room in both.
  Config config = small();
  config.group_segment_bytes = 1 << 20;
  config.group_flush_bytes = 1 << 20;
  SimDisk disk;
  auto node = start(disk, config);
  ASSERT_TRUE(node) << node.error().message;
  Told told;
  ASSERT_TRUE(work(**node, told));
  disk.set_capacity(disk.used_bytes());
  const volume::Caller caller{"tester", {}};
  Bytes big(1 << 20, '\0');
  std::mt19937_64 random(7);
  for (char& c : big) c = static_cast<char>(random());
  auto refused = chunk::write_content((*node)->repository().chunks(), {}, big);
  Result<void> stored;
  if (refused)
    stored = (*node)->repository().chunks().sync();
  else
    stored = std::unexpected(refused.error());
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Code::Exhausted) << stored.error().message;
  EXPECT_EQ(read(**node, kVolume + "@2", 1), content(2, 1));
  const auto rolled = (*node)->publisher().rollback(caller, kVolume, "current", ReleaseNumber(1));
  EXPECT_TRUE(rolled) << rolled.error().message;
  EXPECT_EQ(read(**node, kVolume + "@current", 1), content(1, 1));
  disk.set_capacity(UINT64_MAX);
  EXPECT_TRUE(chunk::write_content((*node)->repository().chunks(), {}, big));
}

}  // namespace
}  // namespace hailstone::server
