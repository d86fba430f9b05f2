// A cell's whole state in a file, for backup and for beginning another cell with it (docs/formats/cell-snapshot.md).
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "cell/records.h"

namespace hailstone::cell {

struct SnapshotHeader {
  Bytes cell;  // its name, 1 to 64 bytes
  Revision revision;
  bool operator==(const SnapshotHeader&) const = default;
};
using SnapshotEntry = std::pair<Bytes, Bytes>;  // key and value in the database
inline constexpr size_t kSnapshotBlockBytesMax = 8u << 20;

/// Entries in ascending order of their keys, also over the blocks of a file.
Bytes encode_snapshot_block(const std::vector<SnapshotEntry>& entries);
/// Corrupt when it is none.
Result<std::vector<SnapshotEntry>> decode_snapshot_block(ByteView block);

/// Makes a file piece by piece: append what each call returns.
class SnapshotWriter {
 public:
  Bytes begin(const SnapshotHeader& header);
  /// `block` is encode_snapshot_block() of at least one entry.
  Bytes add(ByteView block);
  Bytes end();

 private:
  Bytes seal(Bytes bytes);
  Hasher hasher_{Hasher::Kind::Sha256};
  uint64_t blocks_ = 0;
};

/// Up to so many bytes that follow; fewer only at the end of the file.
using SnapshotSource = std::function<Result<Bytes>(size_t bytes)>;
/// Calls `take` for each entry, in order; what it has been given counts only once this returns without an error.
/// Corrupt where the file is damaged or cut off; Unsupported for one of a later program; errors of `source` and `take`
/// as they are.
Result<SnapshotHeader> read_snapshot_file(const SnapshotSource& source,
                                          const std::function<Result<void>(SnapshotEntry entry)>& take);

}  // namespace hailstone::cell
