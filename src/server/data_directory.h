// A node's data directory: whose it is, in which format, and that only one process has it.
#pragma once

#include <memory>
#include <string>

#include "disk/disk.h"

namespace hailstone::server {

struct DataDirectory {
  std::unique_ptr<disk::DirectoryLock> lock;
  bool fresh = false;  // made just now

  /// Makes it where there is none. Unavailable: another process has it; Invalid: it holds something else; Unsupported:
  /// of another format.
  static Result<DataDirectory> open(disk::Disk& disk, const std::string& path);
};

}  // namespace hailstone::server
