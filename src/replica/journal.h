// The records of many groups in one log: written together, found by group and slot, trimmed group by group
// (docs/formats/journal.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/logger.h"
#include "disk/disk.h"
#include "log/log.h"
#include "paxos/io.h"

namespace hailstone::replica {

struct JournalOptions {
  log::LogOptions log;
  /// What to do with a damaged log. A group of one has nobody to get the rest from: it must refuse.
  enum class Damage : uint8_t { Refuse, Salvage } damage = Damage::Refuse;
  /// Beyond so many bytes, records that idle groups still need are written again, so that old segments can go.
  uint64_t tidy_bytes = 256u << 20;
};

/// What a group finds of its own after a restart.
struct JournalGroup {
  paxos::HardState hard;
  Slot floor;  // a snapshot took the place of records up to here
  bool blind = false;
};

/// One writer thread for append, sync, trim; read() from that thread, too.
class Journal {
 public:
  /// Corrupt as log::Log::open says it. With Damage::Salvage the damaged log is left as it is and
  /// set aside, what can be read of it goes into a new one, and every group in it is blind.
  static Result<std::unique_ptr<Journal>> open(disk::Disk& disk, const JournalOptions& options, Logger& logger);
  virtual ~Journal() = default;

  virtual std::vector<paxos::GroupId> groups() const = 0;
  virtual JournalGroup group(paxos::GroupId id) const = 0;

  /// Buffers records, hard state or both. Exhausted: the log can't grow, nothing was buffered; try again when there is
  /// room. Any other error is final.
  virtual Result<void> append(paxos::GroupId id, const paxos::Write& write) = 0;
  /// Records up to `floor` count no more: neither here nor after a restart.
  virtual Result<void> append_floor(paxos::GroupId id, Slot floor) = 0;
  /// The group has again what it had lost.
  virtual Result<void> append_healed(paxos::GroupId id) = 0;
  /// Everything appended is durable on return. Exhausted: not all of it is; try again when there is room. Any other
  /// error is final.
  virtual Result<void> sync() = 0;

  /// The latest record of each slot in first .. last, ascending; stops where one is not held or not durable, and after
  /// `bytes_max`. Returns the slot it would go on with. Corrupt: damage since it was opened.
  virtual Result<Slot> read(paxos::GroupId id, Slot first, Slot last, uint64_t bytes_max,
                            const std::function<Result<void>(paxos::Record)>& visit) = 0;
  virtual Slot last_held(paxos::GroupId id) const = 0;  // 0: none

  /// Records of that group up to `upto` may go. A full disk is no error.
  virtual Result<void> trim(paxos::GroupId id, Slot upto) = 0;
  virtual uint64_t size_bytes() const = 0;
};

}  // namespace hailstone::replica
