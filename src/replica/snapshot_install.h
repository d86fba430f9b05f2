// Puts a snapshot that comes in pieces in the place of a database's content. A crash anywhere leaves the former
// content, or the new one; what was received is used by the next life.
#pragma once

#include <string>

#include "paxos/types.h"
#include "replica/database.h"
#include "replica/snapshot_wire.h"

namespace hailstone::replica {

/// In a content that is being staged, how far it is. Skipped by whoever reads a content for others.
inline constexpr ByteView kInstallKey("\0installing", 11);
/// No key of a database is that large.
inline constexpr ByteView kKeysEnd("\xff\xff\xff\xff\xff\xff\xff\xff", 8);

/// Where nothing else touches the database.
class SnapshotInstall {
 public:
  explicit SnapshotInstall(Database& database) : database_(database) {}

  /// The key to ask after: empty, or further if an earlier life received a part of the same snapshot.
  Result<Bytes> begin(const paxos::SnapshotMeta& meta);
  /// Takes the next piece; the key to ask after.
  Result<Bytes> add(const SnapshotPiece& piece);
  /// After the last piece: all of it is durable, and checked to be of that slot.
  Result<void> complete();
  /// The snapshot that is complete and not yet adopted, of this or an earlier life. upto 0: none.
  Result<Slot> completed() const;
  /// Once the log has given up the records that it replaces.
  Result<void> adopt();

 private:
  Database& database_;
  paxos::SnapshotMeta meta_;
};

}  // namespace hailstone::replica
