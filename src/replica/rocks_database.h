// Database on RocksDB: no WAL of its own (the group's log is the WAL), files through the disk seam.
#pragma once

#include <memory>
#include <string>

#include "disk/disk.h"
#include "replica/database.h"

namespace hailstone::replica {

struct RocksOptions {
  std::string directory;
  uint64_t memtable_bytes = 64u << 20;
  uint64_t block_cache_bytes = 64u << 20;
};

/// Unflushed writes are gone after a crash; the group replays them from its log.
Result<std::unique_ptr<Database>> open_rocks_database(disk::Disk& disk, const RocksOptions& options);

}  // namespace hailstone::replica
