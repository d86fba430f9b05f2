// A journal as it lies on disk, for people: what each group has in it, and what is wrong. Changes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "disk/disk.h"
#include "log/inspect.h"
#include "replica/journal_entry.h"

namespace hailstone::replica {

struct JournalGroupReport {
  uint64_t entries = 0;
  paxos::HardState hard;          // the latest in the log; `promised` never falls
  paxos::Ballot promised_beside;  // in the file `promises`
  Slot floor;
  bool blind = false;
  std::set<Slot> slots;                   // held, above the floor
  std::map<paxos::Kind, uint64_t> kinds;  // records by kind, superseded ones too
  uint64_t value_bytes = 0;               // of the records' values
};

struct JournalReport {
  uint64_t log = 1;            // the one looked at
  uint64_t current = 1;        // the one that counts
  bool promises_kept = false;  // there is such a file, and it is whole
  log::LogReport files;        // its damages also name what is wrong with entries and the files beside the log
  std::map<paxos::GroupId, JournalGroupReport> groups;
};

/// `directory` is a journal's. `log`: which one, where damaged ones were set aside; 0: the one that counts. Visits
/// every entry that can be read. NotFound where there is no journal, or not that log.
Result<JournalReport> inspect_journal(
    disk::Disk& disk, const std::string& directory, uint64_t log,
    const std::function<Result<void>(const log::RecordPlace&, const JournalEntry&)>& visit);

}  // namespace hailstone::replica
