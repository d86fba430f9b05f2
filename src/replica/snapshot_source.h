// The snapshot of a group that this member gives to others: one state of the database, held still while somebody reads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "paxos/types.h"
#include "replica/database.h"
#include "replica/snapshot_wire.h"

namespace hailstone::replica {

/// One thread at a time.
class SnapshotSource {
 public:
  explicit SnapshotSource(Database& database) : database_(database) {}

  /// The snapshot to offer to a member that wants records from `first` on: the one that is held if it is of use, as
  /// somebody may have half of it; a new one else. Nothing where the database itself is not that far.
  Result<std::optional<paxos::SnapshotMeta>> offer(Slot first, Slot log_from, int64_t now_ns);
  /// Entries after `get.after`, about kPieceBytes of them.
  Result<SnapshotPiece> piece(const SnapshotGet& get, int64_t now_ns);
  /// Lets the state go when nobody has asked for a while. False: nothing is held any more.
  bool expire(int64_t now_ns);

  static constexpr size_t kPieceBytes = 1u << 20;
  static constexpr int64_t kKeepNs = 60'000'000'000;

 private:
  Database& database_;
  std::unique_ptr<Reader> held_;
  paxos::SnapshotMeta meta_;
  int64_t asked_ns_ = 0;
};

}  // namespace hailstone::replica
