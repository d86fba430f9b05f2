// The bytes of the journal (docs/formats/journal.md): an entry, which is what one step of one group wants kept, and the
// two small files beside the log.
#pragma once

#include <cstdint>
#include <map>
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

/// The file `promises`: each group's promised ballot once more.
Bytes encode_promises(const std::map<paxos::GroupId, paxos::Ballot>& promises);
Result<std::map<paxos::GroupId, paxos::Ballot>> decode_promises(ByteView bytes);

/// The file `current`: the number of the log that counts.
Bytes encode_current(uint64_t log);
Result<uint64_t> decode_current(ByteView bytes);
/// Where that log is.
std::string log_directory(const std::string& journal, uint64_t log);

}  // namespace hailstone::replica
