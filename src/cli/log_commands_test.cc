#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/logger.h"
#include "cli/testing_cli.h"
#include "replica/journal.h"

namespace hailstone::cli {
namespace {

using paxos::GroupId;
using paxos::ReplicaId;
using ::testing::HasSubstr;
using ::testing::Not;

/// A node's data directory with a log of two groups.
class LogInspectTest : public CliTest {
 protected:
  LogInspectTest() {
    std::filesystem::create_directories(data_ + "/group-0/log");
    std::ofstream(data_ + "/lock");
    std::ofstream(data_ + "/VERSION") << "1\n";
    auto journal = replica::Journal::open(
        *disk_,
        {.log = {.directory = log_, .segment_bytes = 16 << 10, .spare = log::SparePreparation::Inline},
         .damage = replica::JournalOptions::Damage::Salvage},
        logger_);
    for (uint64_t slot = 1; slot <= 8; ++slot) {
      paxos::Record record{.slot = Slot(slot),
                           .ballot = {3, ReplicaId(2)},
                           .origin = {3, ReplicaId(2)},
                           .kind = slot == 5 ? paxos::Kind::Noop : paxos::Kind::Command,
                           .data = std::make_shared<const Bytes>(Bytes(slot == 5 ? 0 : 1000, 'x'))};
      record.digest = paxos::digest_of(record);
      paxos::Write write{
          .records = {record}, .has_hard = true, .hard = {.promised = {3, ReplicaId(2)}, .chosen = Slot(slot - 1)}};
      EXPECT_TRUE((*journal)->append(GroupId(slot == 8 ? 7 : 0), write));
      EXPECT_TRUE((*journal)->sync());
    }
    EXPECT_TRUE((*journal)->append_floor(GroupId(0), Slot(2)));
    EXPECT_TRUE((*journal)->sync());
  }
  ~LogInspectTest() override { std::filesystem::remove_all(data_); }
  void flip(const std::string& name, std::streamoff offset) {
    std::fstream file(log_ + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(offset);
    file.put(byte);
  }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data_)) {
      if (entry.is_directory()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      out[entry.path()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return out;
  }

  const std::string data_ = testing::TempDir() + "hailstone-log-" + std::to_string(::getpid());
  const std::string log_ = data_ + "/group-0/log";
  const std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  NullLogger logger_;
};

TEST_F(LogInspectTest, TellsSegmentsAndGroupsAndWritesNothing) {
  const auto before = files();
  for (const std::string& directory : {data_, log_}) {
    const Outcome outcome = run({"log", "inspect", directory});
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("segment-0000000000000003"));
    EXPECT_THAT(outcome.out, HasSubstr("0      3.2            6      2  3-7    6 commands, 1 noops"));
    EXPECT_THAT(outcome.out, Not(HasSubstr("DAMAGE")));
  }
  EXPECT_EQ(files(), before);
}

TEST_F(LogInspectTest, EntriesAreALineEach) {
  const Outcome outcome = run({"log", "inspect", data_, "--entries"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_THAT(
      outcome.out,
      HasSubstr("5 segment-0000000000000002@8192 group 0 promised 3.2 chosen 4 slots 5 by 3.2: 1 noops, 0 B\n"));
  EXPECT_THAT(outcome.out, HasSubstr("9 segment-0000000000000003@12288 group 0 floor 2\n"));
}

TEST_F(LogInspectTest, JsonSaysTheSame) {
  const Outcome outcome = run({"--json", "log", "inspect", data_, "--entries"});
  EXPECT_EQ(outcome.exit, 0);
  const Json report = Json::parse(outcome.out);
  EXPECT_EQ(report["segments"].size(), 3u);
  EXPECT_EQ(report["groups"][0]["slots"], "3-7");
  EXPECT_EQ(report["groups"][1]["promised"], "3.2");
  EXPECT_EQ(report["entries"].size(), 9u);
  EXPECT_TRUE(report["damages"].empty());
}

TEST_F(LogInspectTest, DamageIsNamedByFileAndOffset) {
  flip("segment-0000000000000001", 2 * 4096 + 60);
  flip("promises", 10);
  const Outcome outcome = run({"log", "inspect", data_});
  EXPECT_EQ(outcome.exit, 9);
  EXPECT_THAT(outcome.out,
              HasSubstr("segment-0000000000000001 at 8192: batch 2 is not readable, but 3 follows at 12288"));
  EXPECT_THAT(outcome.out, HasSubstr("promises at 0: fails its checksum"));
}

TEST_F(LogInspectTest, ALogInUseIsRefusedUnlessAskedFor) {
  const auto lock = disk_->lock(data_ + "/lock");
  ASSERT_TRUE(lock);
  Outcome outcome = run({"log", "inspect", data_});
  EXPECT_EQ(outcome.exit, 7);
  EXPECT_THAT(outcome.err, HasSubstr("in use by a running node"));
  EXPECT_EQ(run({"log", "inspect", log_}).exit, 7);
  EXPECT_EQ(run({"log", "inspect", data_, "--in-use"}).exit, 0);
}

TEST_F(LogInspectTest, WhatHoldsNoLogIsNotFound) {
  EXPECT_EQ(run({"log", "inspect", "/nonexistent"}).exit, 4);
  std::filesystem::create_directories(data_ + "/empty");
  EXPECT_EQ(run({"log", "inspect", data_ + "/empty"}).exit, 4);
  EXPECT_EQ(run({"log", "inspect", data_, "--log", "9"}).exit, 4);
  EXPECT_EQ(run({"log"}).exit, 2);
}

}  // namespace
}  // namespace hailstone::cli
