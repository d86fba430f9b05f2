// Begins a new cell of one with the state that a snapshot file holds.
#pragma once

#include <string>

#include "base/logger.h"
#include "cell/snapshot_file.h"
#include "disk/disk.h"

namespace hailstone::server {

/// Puts the state into DATA/cell, where no cell may be: the node `id` is its only member when it is started, and others
/// are added to it. Exists: there is a cell; as read_snapshot_file(); nothing is left behind after an error.
Result<cell::SnapshotHeader> restore_cell(disk::Disk& disk, const std::string& file, const std::string& data,
                                          uint64_t id);

}  // namespace hailstone::server
