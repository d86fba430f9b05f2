// Database on RocksDB: no WAL of its own (the group's log is the WAL), files through the disk seam.
#pragma once

#include <memory>
#include <string>

#include "base/logger.h"
#include "disk/disk.h"
#include "replica/database.h"

namespace hailstone::replica {

struct RocksOptions {
  std::string directory;
  /// One write buffer; at most two are held: one filling, one being flushed. What stays in the caches of a core is
  /// filled fastest (docs/performance.md); larger ones are flushed less often.
  uint64_t memtable_bytes = 8u << 20;
  uint64_t block_cache_bytes = 64u << 20;  // blocks, indexes and filters together
  int files_open_max = 256;
  bool verify = false;  // every block is read and checked before it opens
};

/// `disk` must outlive it. Corrupt when RocksDB finds its files damaged.
/// Unflushed writes are gone after a crash; the group replays them from its log.
Result<std::unique_ptr<Database>> open_rocks_database(disk::Disk& disk, const RocksOptions& options);

/// For a member that others can give its state again: a database that is damaged, or was marked so, is set aside as
/// `<directory>.damaged-<n>` for people to look at, and an empty one takes its place.
Result<std::unique_ptr<Database>> open_or_replace_rocks_database(disk::Disk& disk, const RocksOptions& options,
                                                                 Logger& logger);
/// What is in that directory is to be set aside when it is next opened: damage was met while it was in use.
Result<void> mark_rocks_database_damaged(disk::Disk& disk, const std::string& directory);

}  // namespace hailstone::replica
