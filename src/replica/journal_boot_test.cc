#include "replica/journal_boot.h"

#include <gtest/gtest.h>

#include "disk/sim_disk.h"

namespace hailstone::replica {
namespace {

using paxos::Digest;
using paxos::GroupId;
using paxos::Record;
using paxos::ReplicaId;
using paxos::SnapshotMeta;

constexpr GroupId kGroup{5};

class JournalBoot : public testing::Test {
 protected:
  JournalBoot() {
    at_.configs = {{.epoch = 1, .voters = {{.id = ReplicaId(1)}, {.id = ReplicaId(2)}}}};
    reopen();
  }
  void reopen() {
    journal_.reset();
    auto opened = Journal::open(disk_, options_, logger_);
    if (!opened) throw std::runtime_error(opened.error().message);
    journal_ = std::move(*opened);
  }
  static Record record(uint64_t slot, Digest parent, std::string_view text, uint64_t round = 1) {
    Record out{.slot = Slot(slot),
               .ballot = {round, ReplicaId(1)},
               .origin = {round, ReplicaId(1)},
               .kind = paxos::Kind::Command,
               .parent = parent,
               .data = std::make_shared<const Bytes>(text)};
    out.digest = paxos::digest_of(out);
    return out;
  }
  /// Slots 1 to `last`, each a batch of its own, chosen as they come but for the last.
  void chain(uint64_t last) {
    for (uint64_t slot = 1; slot <= last; ++slot) {
      paxos::Write write;
      write.records = {record(slot, chain_.empty() ? Digest{} : chain_.back().digest, fmt(slot))};
      chain_.push_back(write.records[0]);
      write.has_hard = true;
      write.hard = {.promised = {1, ReplicaId(1)},
                    .chosen = Slot(slot - 1),
                    .chosen_digest = chain_.size() > 1 ? chain_[chain_.size() - 2].digest : Digest{}};
      put(write);
    }
  }
  static std::string fmt(uint64_t slot) { return "slot " + std::to_string(slot); }
  void put(const paxos::Write& write) {
    ASSERT_TRUE(journal_->append(kGroup, write));
    ASSERT_TRUE(journal_->sync());
  }
  SnapshotMeta database_at(uint64_t slot) {
    SnapshotMeta at = at_;
    for (uint64_t i = 0; i < slot; ++i) EXPECT_TRUE(at.advance(chain_[i]));
    return at;
  }
  Result<paxos::Boot> boot(const SnapshotMeta& at) {
    applied_.clear();
    return boot_from_journal(*journal_, kGroup, at, [this](const Record& each) -> Result<void> {
      applied_.push_back(each.slot.value);
      return {};
    });
  }

  disk::SimDisk disk_;
  NullLogger logger_;
  JournalOptions options_{
      .log = {.directory = "log", .segment_bytes = 32 << 10, .spare = log::SparePreparation::Inline},
      .damage = JournalOptions::Damage::Salvage};
  std::unique_ptr<Journal> journal_;
  SnapshotMeta at_;
  std::vector<Record> chain_;
  std::vector<uint64_t> applied_;
};

TEST_F(JournalBoot, AppliesWhatIsChosenAndHandsOverTheRest) {
  chain(6);
  const auto boot = this->boot(database_at(2));
  ASSERT_TRUE(boot) << boot.error().message;
  EXPECT_EQ(applied_, (std::vector<uint64_t>{3, 4, 5}));
  EXPECT_EQ(boot->base.upto, Slot(5));
  ASSERT_EQ(boot->records.size(), 1u);
  EXPECT_EQ(boot->records[0].slot, Slot(6));
  EXPECT_FALSE(boot->blind);
}

TEST_F(JournalBoot, GapsAreLeftOut) {
  chain(2);
  paxos::Write write;
  for (const uint64_t slot : {5, 6, 9}) write.records.push_back(record(slot, {}, "out of order"));
  put(write);
  const auto boot = this->boot(database_at(1));
  ASSERT_TRUE(boot) << boot.error().message;
  std::vector<uint64_t> slots;
  for (const Record& each : boot->records) slots.push_back(each.slot.value);
  EXPECT_EQ(slots, (std::vector<uint64_t>{2, 5, 6, 9}));
}

// The hint of what is chosen lags behind what was applied: that alone costs no record.
TEST_F(JournalBoot, ADatabaseAheadOfTheHintKeepsTheLog) {
  chain(6);
  ASSERT_TRUE(boot(database_at(6)));
  EXPECT_EQ(journal_->group(kGroup).floor, Slot(0));
  EXPECT_TRUE(applied_.empty());
}

// It came as a snapshot, and the process ended before the floor was written: slot 2 here was never chosen, and would be
// served once the hint has passed it.
TEST_F(JournalBoot, RecordsThatASnapshotReplacedCountNoMore) {
  chain(6);
  SnapshotMeta at = database_at(1);
  for (uint64_t slot = 2; slot <= 4; ++slot) ASSERT_TRUE(at.advance(record(slot, at.digest, "chosen by others", 2)));
  paxos::Write older;
  older.has_hard = true;  // nothing is known to be chosen
  older.hard.promised = {1, ReplicaId(1)};
  put(older);
  const auto boot = this->boot(at);
  ASSERT_TRUE(boot) << boot.error().message;
  EXPECT_EQ(journal_->group(kGroup).floor, Slot(4));
  ASSERT_EQ(boot->records.size(), 2u);
  EXPECT_EQ(boot->records[0].slot, Slot(5));
  const auto read = journal_->read(kGroup, Slot(2), Slot(4), UINT64_MAX, [](Record) -> Result<void> { return {}; });
  EXPECT_EQ(*read, Slot(2));
}

// Where the chosen record of a slot is lost, an earlier one of it comes to light again: it follows its parent as well.
TEST_F(JournalBoot, WhatDamageBringsToLightIsNotTakenForChosen) {
  chain(2);
  paxos::Write stale, chosen, hint;
  stale.records = {record(3, chain_[1].digest, "proposed by a leader that lost", 1)};
  put(stale);
  chosen.records = {record(3, chain_[1].digest, "chosen", 2)};
  put(chosen);
  hint.has_hard = true;
  hint.hard = {.promised = {2, ReplicaId(1)}, .chosen = Slot(3), .chosen_digest = chosen.records[0].digest};
  put(hint);
  journal_.reset();
  ASSERT_TRUE(disk_.flip("log/segment-0000000000000001", 4 * 4096 + 60));  // the batch with the chosen one
  reopen();
  const auto boot = this->boot(database_at(1));
  ASSERT_TRUE(boot) << boot.error().message;
  EXPECT_TRUE(boot->blind);
  EXPECT_TRUE(applied_.empty());
  EXPECT_EQ(boot->base.upto, Slot(1));
  EXPECT_EQ(journal_->group(kGroup).floor, Slot(1));
  EXPECT_EQ(boot->hard.chosen, Slot(3));
}

TEST_F(JournalBoot, AChosenRecordThatDoesNotFollowIsCorrupt) {
  chain(3);
  SnapshotMeta elsewhere = database_at(1);
  elsewhere.digest.low ^= 1;
  const auto boot = this->boot(elsewhere);
  ASSERT_FALSE(boot);
  EXPECT_EQ(boot.error().code, Code::Corrupt);
  EXPECT_NE(boot.error().message.find("slot 2"), std::string::npos) << boot.error().message;
}

}  // namespace
}  // namespace hailstone::replica
