// Open segment files: one descriptor each, opened when first read, at most so many at once.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "disk/disk.h"

namespace hailstone::chunk {

/// Thread-safe. A file that was pushed out stays open for those who still hold it.
class SegmentFiles {
 public:
  SegmentFiles(disk::Disk& disk, std::string directory, size_t open_max)
      : disk_(disk), directory_(std::move(directory)), open_max_(open_max) {}

  Result<std::shared_ptr<disk::File>> open(uint32_t segment);
  /// Makes `file` the one that is handed out for this segment.
  void adopt(uint32_t segment, std::shared_ptr<disk::File> file);
  /// Its file is gone; who holds it reads on.
  void forget(uint32_t segment);
  std::string path(uint32_t segment) const;

 private:
  struct Entry {
    std::shared_ptr<disk::File> file;
    std::atomic<uint64_t> used{0};
  };
  void insert(uint32_t segment, std::shared_ptr<disk::File> file);

  disk::Disk& disk_;
  const std::string directory_;
  const size_t open_max_;
  std::shared_mutex mutex_;  // every reader passes here; exclusive only to open or push out
  std::unordered_map<uint32_t, Entry> open_;
  std::atomic<uint64_t> clock_{1};  // moves when a file is opened: what was not used since is pushed out first
};

}  // namespace hailstone::chunk
