// What members say to move a snapshot from one to another, piece by piece (docs/formats/snapshot-transfer.md).
#pragma once

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "paxos/types.h"

namespace hailstone::replica {

/// Asks for what follows the key `after` in the snapshot at that slot. An empty key asks for the beginning.
struct SnapshotGet {
  paxos::GroupId group;
  paxos::ReplicaId from;
  Slot upto;
  Bytes after;
  bool operator==(const SnapshotGet&) const = default;
};

/// The entries that follow `after`, ascending. Without any it is the end.
struct SnapshotPiece {
  paxos::GroupId group;
  Slot upto;
  Bytes after;
  std::vector<std::pair<Bytes, Bytes>> entries;
  bool last = false;  // nothing follows these
  bool gone = false;  // that snapshot is not held any more: ask for another
  bool operator==(const SnapshotPiece&) const = default;
};

using SnapshotMessage = std::variant<SnapshotGet, SnapshotPiece>;

Bytes encode(const SnapshotMessage& message);
/// Unsupported for a version or kind of a later program, Corrupt for anything else.
Result<SnapshotMessage> decode_snapshot_message(ByteView bytes);

}  // namespace hailstone::replica
