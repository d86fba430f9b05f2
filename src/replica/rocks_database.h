// Database on RocksDB: no WAL of its own (the group's log is the WAL), files through the disk seam.
#pragma once

#include <memory>
#include <string>

#include "disk/disk.h"
#include "replica/database.h"

namespace hailstone::replica {

struct RocksOptions {
  std::string directory;
  uint64_t memtable_bytes = 64u << 20;     // one write buffer; at most two are held: one filling, one being flushed
  uint64_t block_cache_bytes = 64u << 20;  // blocks, indexes and filters together
  int files_open_max = 256;
};

/// `disk` must outlive it. Corrupt when RocksDB finds its files damaged.
/// Unflushed writes are gone after a crash; the group replays them from its log.
Result<std::unique_ptr<Database>> open_rocks_database(disk::Disk& disk, const RocksOptions& options);

}  // namespace hailstone::replica
