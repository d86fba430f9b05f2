// One log record of the journal: what one step of one group wants kept (docs/formats/journal.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "paxos/types.h"

namespace hailstone::replica {

struct JournalEntry {
  paxos::GroupId group;
  std::optional<paxos::HardState> hard;
  std::optional<Slot> floor;  // records up to it count no more
  bool healed = false;        // the group has again what it had lost
  bool blind = false;         // records of the group were lost before this entry
  std::vector<paxos::Record> records;
};

/// Without the records of `entry`: they are given apart, so that nobody copies them.
Bytes encode(const JournalEntry& entry, std::span<const paxos::Record> records);
/// Unsupported for a version or flag of a later program, Corrupt for anything else.
Result<JournalEntry> decode_journal_entry(ByteView bytes);

}  // namespace hailstone::replica
