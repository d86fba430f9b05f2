#include "replica/journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "disk/sim_disk.h"
#include "replica/journal_entry.h"

namespace hailstone::replica {
namespace {

using disk::SimDisk;
using paxos::Ballot;
using paxos::GroupId;
using paxos::Record;
using paxos::ReplicaId;

Record record(uint64_t slot, uint64_t round, size_t bytes = 300) {
  Record out{.slot = Slot(slot),
             .ballot = {round, ReplicaId(1)},
             .origin = {round, ReplicaId(1)},
             .kind = paxos::Kind::Command,
             .data = std::make_shared<const Bytes>(Bytes(bytes, static_cast<char>('a' + (slot + round) % 26)))};
  out.digest = paxos::digest_of(out);
  return out;
}

// What is on disks stays readable: the file is never changed.
TEST(JournalEntry, GoldenFile) {
  JournalEntry entry{
      .group = GroupId(7),
      .hard =
          paxos::HardState{.promised = {9, ReplicaId(2)}, .chosen = Slot(100), .chosen_digest = {.low = 1, .high = 2}},
      .floor = Slot(90),
      .healed = true,
      .blind = false,
      .records = {record(101, 9, 5), record(102, 9, 0)}};
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/journal_entry_v1.hex";
  std::ifstream in(path);
  std::string hex;
  in >> hex;
  const Bytes bytes = encode(entry, entry.records);
  EXPECT_EQ(to_hex(bytes), hex);
  const auto decoded = decode_journal_entry(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->hard, entry.hard);
  EXPECT_EQ(decoded->floor, entry.floor);
  EXPECT_TRUE(decoded->healed);
  ASSERT_EQ(decoded->records.size(), 2u);
  EXPECT_EQ(*decoded->records[0].data, *entry.records[0].data);
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(decode_journal_entry(ByteView(bytes).substr(0, length)));
}

class JournalTest : public testing::Test {
 protected:
  std::unique_ptr<Journal> open() {
    auto journal = Journal::open(disk_, options_, logger_);
    if (!journal) throw std::runtime_error(journal.error().message);
    return std::move(*journal);
  }
  static void put(Journal& journal, uint64_t group, std::vector<Record> records,
                  std::optional<paxos::HardState> hard = {}) {
    paxos::Write write;
    write.records = std::move(records);
    if (hard) {
      write.has_hard = true;
      write.hard = *hard;
    }
    const auto done = journal.append(GroupId(group), write);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_TRUE(journal.sync());
  }
  static std::map<uint64_t, uint64_t> rounds(Journal& journal, uint64_t group, uint64_t first, uint64_t last) {
    std::map<uint64_t, uint64_t> out;
    const auto read =
        journal.read(GroupId(group), Slot(first), Slot(last), UINT64_MAX, [&](Record each) -> Result<void> {
          EXPECT_EQ(paxos::digest_of(each), each.digest);
          out.emplace(each.slot.value, each.ballot.round);
          return {};
        });
    EXPECT_TRUE(read) << read.error().message;
    if (read) EXPECT_EQ(read->value, out.empty() ? first : out.rbegin()->first + 1);
    return out;
  }

  SimDisk disk_;
  JournalOptions options_{
      .log = {.directory = "log", .segment_bytes = 32 << 10, .spare = log::SparePreparation::Inline}};
  NullLogger logger_;
};

TEST_F(JournalTest, TheLatestRecordOfASlotCounts) {
  for (int opened = 0; opened < 2; ++opened) {
    auto journal = open();
    if (opened == 0) {
      put(*journal, 3, {record(1, 1), record(2, 1), record(3, 1)});
      put(*journal, 7, {record(1, 9)});
      put(*journal, 3, {record(2, 5)},
          paxos::HardState{.promised = {5, ReplicaId(2)}, .chosen = Slot(1), .chosen_digest = {}});
    }
    EXPECT_EQ(rounds(*journal, 3, 1, 9), (std::map<uint64_t, uint64_t>{{1, 1}, {2, 5}, {3, 1}}));
    EXPECT_EQ(rounds(*journal, 7, 1, 9), (std::map<uint64_t, uint64_t>{{1, 9}}));
    EXPECT_EQ(journal->group(GroupId(3)).hard.promised, (Ballot{5, ReplicaId(2)}));
    EXPECT_EQ(journal->last_held(GroupId(3)), Slot(3));
    EXPECT_EQ(journal->groups().size(), 2u);
  }
}

TEST_F(JournalTest, WhatASnapshotReplacedIsGone) {
  {
    auto journal = open();
    put(*journal, 1, {record(1, 1), record(2, 1), record(3, 1)});
    ASSERT_TRUE(journal->append_floor(GroupId(1), Slot(2)));
    put(*journal, 1, {record(2, 4), record(4, 1)});
  }
  auto journal = open();
  EXPECT_EQ(journal->group(GroupId(1)).floor, Slot(2));
  EXPECT_TRUE(rounds(*journal, 1, 1, 9).empty());
  EXPECT_EQ(rounds(*journal, 1, 3, 9), (std::map<uint64_t, uint64_t>{{3, 1}, {4, 1}}));
}

// A group that does nothing would keep the oldest segment for ever: what it needs is written again.
TEST_F(JournalTest, AnIdleGroupDoesNotKeepTheLog) {
  options_.tidy_bytes = 128 << 10;
  auto journal = open();
  put(*journal, 1, {record(1, 1)},
      paxos::HardState{.promised = {1, ReplicaId(1)}, .chosen = Slot(1), .chosen_digest = {}});
  for (uint64_t slot = 1; slot <= 2000; ++slot) {
    put(*journal, 2, {record(slot, 1, 1000)});
    if (slot % 10 == 0) ASSERT_TRUE(journal->trim(GroupId(2), Slot(slot - 5)));
  }
  EXPECT_LT(journal->size_bytes(), 512u << 10);
  journal.reset();
  journal = open();
  EXPECT_EQ(rounds(*journal, 1, 1, 9), (std::map<uint64_t, uint64_t>{{1, 1}}));
  EXPECT_EQ(journal->group(GroupId(1)).hard.chosen, Slot(1));
  EXPECT_EQ(rounds(*journal, 2, 1996, 2000).size(), 5u);
}

TEST_F(JournalTest, DamageIsRefusedOrSetAsideWithEveryGroupBlind) {
  options_.damage = JournalOptions::Damage::Salvage;
  {
    auto journal = open();
    for (uint64_t slot = 1; slot <= 60; ++slot)
      put(*journal, slot % 2, {record(slot, 1, 1000)},
          paxos::HardState{.promised = {slot, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}});
  }
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 3 * 4096 + 100));
  options_.damage = JournalOptions::Damage::Refuse;
  EXPECT_EQ(Journal::open(disk_, options_, logger_).error().code, Code::Corrupt);
  options_.damage = JournalOptions::Damage::Salvage;
  for (int opened = 0; opened < 2; ++opened) {
    auto journal = open();
    size_t found = 0;
    for (uint64_t slot = 1; slot <= 60; ++slot) found += rounds(*journal, slot % 2, slot, slot).size();
    EXPECT_EQ(found, 59u);
    for (const uint64_t group : {0, 1}) {
      EXPECT_TRUE(journal->group(GroupId(group)).blind);
      EXPECT_EQ(journal->group(GroupId(group)).hard.promised.round, 60 - (group + 1) % 2 * 0 - group % 2);
    }
  }
  auto journal = open();
  ASSERT_TRUE(journal->append_healed(GroupId(1)));
  ASSERT_TRUE(journal->sync());
  journal.reset();
  EXPECT_FALSE(open()->group(GroupId(1)).blind);
  EXPECT_TRUE(open()->group(GroupId(0)).blind);
}

TEST_F(JournalTest, WithLogAndPromisesDamagedNothingIsOpened) {
  options_.damage = JournalOptions::Damage::Salvage;
  {
    auto journal = open();
    for (uint64_t slot = 1; slot <= 5; ++slot)
      put(*journal, 1, {record(slot, 1)},
          paxos::HardState{.promised = {slot, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}});
  }
  ASSERT_TRUE(disk_.flip("log/promises", 9));
  EXPECT_EQ(open()->group(GroupId(1)).hard.promised.round, 5u);  // the log has them, and they are written anew
  ASSERT_TRUE(disk_.flip("log/promises", 9));
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 2 * 4096 + 60));
  const auto opened = Journal::open(disk_, options_, logger_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
  EXPECT_NE(opened.error().message.find("promises"), std::string::npos) << opened.error().message;
}

// The last promise may be in the very batch that is damaged.
TEST_F(JournalTest, APromiseSurvivesDamageOfTheLog) {
  options_.damage = JournalOptions::Damage::Salvage;
  {
    auto journal = open();
    put(*journal, 5, {record(1, 1)},
        paxos::HardState{.promised = {1, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}});
    put(*journal, 5, {}, paxos::HardState{.promised = {77, ReplicaId(3)}, .chosen = {}, .chosen_digest = {}});
    put(*journal, 5, {record(2, 77)});
  }
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 2 * 4096 + 60));  // the second batch
  const JournalGroup group = open()->group(GroupId(5));
  EXPECT_TRUE(group.blind);
  EXPECT_EQ(group.hard.promised, (Ballot{77, ReplicaId(3)}));
}

// Whatever place still has a promise, the replica stands by it, and repeats it to others: so the other gets it, too,
// before that one rots.
TEST_F(JournalTest, APromiseFoundInOnePlaceIsPutInBoth) {
  options_.damage = JournalOptions::Damage::Salvage;
  const auto promise = [](uint64_t round) {
    return paxos::HardState{.promised = {round, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}};
  };
  {
    auto journal = open();
    put(*journal, 1, {record(1, 1)}, promise(1));
    put(*journal, 1, {}, promise(7));
  }
  // The log loses it,
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 2 * 4096 + 60));
  EXPECT_EQ(open()->group(GroupId(1)).hard.promised.round, 7u);
  // then the copy is lost.
  ASSERT_TRUE(disk_.flip("log/promises", 9));
  EXPECT_EQ(open()->group(GroupId(1)).hard.promised.round, 7u);
  // And the other way round: the promise that the log holds is in the new copy.
  ASSERT_TRUE(disk_.flip("log/log-2/segment-0000000000000001", 2 * 4096 + 60));
  EXPECT_EQ(open()->group(GroupId(1)).hard.promised.round, 7u);
}

// A learner has promised nothing, and can lose all that it has in the log.
TEST_F(JournalTest, AGroupWithoutAPromiseIsBlindAfterDamage) {
  options_.damage = JournalOptions::Damage::Salvage;
  put(*open(), 4, {record(1, 1)});
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 4096 + 60));
  EXPECT_TRUE(open()->group(GroupId(4)).blind);
}

TEST_F(JournalTest, ALogWithoutSegmentsIsLostNotNew) {
  options_.damage = JournalOptions::Damage::Salvage;
  put(*open(), 4, {record(1, 1)});
  ASSERT_TRUE(disk_.remove("log/segment-0000000000000001"));
  EXPECT_TRUE(open()->group(GroupId(4)).blind);
}

// Another log than the one that counts would be without all that was promised since.
TEST_F(JournalTest, WhichLogCountsIsNotGuessed) {
  options_.damage = JournalOptions::Damage::Salvage;
  put(*open(), 4, {record(1, 1)});
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 4096 + 60));
  EXPECT_TRUE(open()->group(GroupId(4)).blind);
  const uint64_t size = *disk_.file_size("log/current");
  for (uint64_t at = 0; at < size; ++at)
    for (const int mask : {1, 2, 4, 128}) {
      ASSERT_TRUE(disk_.flip("log/current", at, static_cast<uint8_t>(mask)));
      const auto opened = Journal::open(disk_, options_, logger_);
      ASSERT_FALSE(opened) << "byte " << at << " mask " << mask;
      EXPECT_EQ(opened.error().code, Code::Corrupt);
      ASSERT_TRUE(disk_.flip("log/current", at, static_cast<uint8_t>(mask)));
    }
  EXPECT_TRUE(open()->group(GroupId(4)).blind);
}

// While the new copy of a record waits for its sync, the old one is all there is.
TEST_F(JournalTest, WhatIsSupersededGoesOnlyWhenItsSuccessorIsDurable) {
  const paxos::HardState hard{.promised = {3, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}};
  {
    auto journal = open();
    put(*journal, 1, {record(1, 1)}, hard);
    for (uint64_t slot = 1; slot <= 100; ++slot) put(*journal, 2, {record(slot, 1, 1000)});
    paxos::Write again;
    again.records = {record(1, 4)};
    again.has_hard = true;
    again.hard = hard;
    ASSERT_TRUE(journal->append(GroupId(1), again));
    const uint64_t before = journal->size_bytes();
    ASSERT_TRUE(journal->trim(GroupId(2), Slot(99)));
    EXPECT_EQ(journal->size_bytes(), before);
  }  // the process dies before its sync
  {
    auto journal = open();
    EXPECT_EQ(rounds(*journal, 1, 1, 9), (std::map<uint64_t, uint64_t>{{1, 1}}));
    EXPECT_EQ(journal->group(GroupId(1)).hard.promised.round, 3u);
    put(*journal, 1, {record(1, 4)}, hard);
    const uint64_t before = journal->size_bytes();
    ASSERT_TRUE(journal->trim(GroupId(2), Slot(99)));
    EXPECT_LT(journal->size_bytes(), before);
  }
}

TEST_F(JournalTest, TrimmingNeedsNoRoom) {
  options_.tidy_bytes = 64 << 10;
  auto journal = open();
  for (const uint64_t idle : {1, 3, 4}) put(*journal, idle, {record(1, 1, 20'000)});
  for (uint64_t slot = 1; slot <= 200; ++slot) put(*journal, 2, {record(slot, 1, 1000)});
  disk_.set_capacity(disk_.used_bytes());
  for (uint64_t slot = 10; slot <= 190; slot += 10) {
    const auto trimmed = journal->trim(GroupId(2), Slot(slot));
    ASSERT_TRUE(trimmed) << trimmed.error().message;
  }
  journal.reset();
  disk_.set_capacity(UINT64_MAX);
  journal = open();
  for (const uint64_t idle : {1, 3, 4}) EXPECT_EQ(rounds(*journal, idle, 1, 9).size(), 1u) << idle;
  EXPECT_EQ(rounds(*journal, 2, 191, 200).size(), 10u);
}

// Whenever the process dies while it sets a damaged log aside, the next one does it all again.
TEST_F(JournalTest, SettingAsideMayBeCutShortAnywhere) {
  options_.damage = JournalOptions::Damage::Salvage;
  for (uint64_t operation = 1;; ++operation) {
    SimDisk disk;
    {
      auto journal = Journal::open(disk, options_, logger_);
      ASSERT_TRUE(journal);
      for (uint64_t slot = 1; slot <= 40; ++slot)
        put(**journal, 1, {record(slot, 1, 1000)},
            paxos::HardState{.promised = {slot, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}});
    }
    ASSERT_TRUE(disk.flip("log/segment-0000000000000001", 3 * 4096 + 100));
    disk.crash_at(disk.operations() + operation);
    const bool done = Journal::open(disk, options_, logger_).has_value();
    disk.restart(SimDisk::CrashMode::Torn, operation);
    auto journal = Journal::open(disk, options_, logger_);
    ASSERT_TRUE(journal) << "operation " << operation << ": " << journal.error().message;
    EXPECT_TRUE((*journal)->group(GroupId(1)).blind);
    EXPECT_EQ((*journal)->group(GroupId(1)).hard.promised.round, 40u);
    size_t found = 0;
    for (uint64_t slot = 1; slot <= 40; ++slot) found += rounds(**journal, 1, slot, slot).size();
    EXPECT_EQ(found, 39u) << operation;
    EXPECT_FALSE(*disk.exists("log/log-3"));
    if (done) break;
  }
}

// Any bit of any file: refused with its name, or nothing that was synced is missing.
TEST_F(JournalTest, NoFlippedBitGoesUnseen) {
  {
    auto journal = open();
    for (uint64_t slot = 1; slot <= 12; ++slot)
      put(*journal, 1, {record(slot, 1, 200)},
          paxos::HardState{.promised = {slot, ReplicaId(1)}, .chosen = {}, .chosen_digest = {}});
  }
  std::mt19937_64 random(1);
  for (const std::string& name : *disk_.list("log")) {
    if (name == "spare") continue;
    const std::string path = "log/" + name;
    const uint64_t size = std::min<uint64_t>(*disk_.file_size(path), 14 * 4096);
    for (int i = 0; i < 300; ++i) {
      const uint64_t at = random() % size;
      ASSERT_TRUE(disk_.flip(path, at));
      const auto opened = Journal::open(disk_, options_, logger_);
      if (opened) {
        EXPECT_EQ(rounds(**opened, 1, 1, 12).size(), 12u) << path << " at " << at;
        EXPECT_EQ((*opened)->group(GroupId(1)).hard.promised.round, 12u) << path << " at " << at;
      } else {
        EXPECT_EQ(opened.error().code, Code::Corrupt) << opened.error().message;
        EXPECT_NE(opened.error().message.find("log/"), std::string::npos) << opened.error().message;
      }
      const auto again = disk_.flip(path, at);
      if (!again) break;  // it was mended: written anew
    }
  }
}

}  // namespace
}  // namespace hailstone::replica
