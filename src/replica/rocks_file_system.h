// RocksDB's file system over the disk seam, so that simulated crashes and full disks reach its files too.
#pragma once

#include <rocksdb/env.h>

#include <memory>

#include "base/error.h"
#include "disk/disk.h"

namespace hailstone::replica {

/// The system's threads and clock, and files on `disk`, which must outlive it.
std::unique_ptr<rocksdb::Env> make_rocks_env(disk::Disk& disk);

/// Exhausted, Corrupt, NotFound and Io keep their meaning both ways.
Error error_of(const rocksdb::Status& status);

}  // namespace hailstone::replica
