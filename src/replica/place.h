// Where a database is in its group's chosen log, and what state it must be in there (docs/formats/journal.md).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "paxos/types.h"
#include "replica/database.h"

namespace hailstone::replica {

struct Place {
  paxos::SnapshotMeta at;
  /// Over every change that the commands up to `at` made, in order: equal on all members, or they have diverged.
  uint64_t checksum = 0;

  void changed_by(const Batch& batch);
  Bytes encode() const;
  /// Corrupt when `bytes` are none.
  static Result<Place> decode(ByteView bytes);
};

/// A group keeps its place under this key. A machine must not write it; a range may cover it.
inline constexpr ByteView kAppliedKey("\0applied", 8);

}  // namespace hailstone::replica
