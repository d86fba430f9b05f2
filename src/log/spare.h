// Keeps one zero-filled, synced file ready to become the log's next segment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/logger.h"
#include "disk/disk.h"
#include "log/log.h"

namespace hailstone::log {

/// Used by the log's one writer; its own thread only fills the file and is joined before the writer looks at it.
/// The file `directory`/spare is never part of the log: whatever it holds, at any time, may be overwritten.
class Spare {
 public:
  Spare(disk::Disk& disk, const LogOptions& options, Logger& logger);
  ~Spare();
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;

  const std::string& path() const { return path_; }
  /// Starts filling, unless there is or will be a spare, or preparation is Inline.
  void want();
  /// Takes the log's unneeded file `path` out of the log, durably: as the spare if there is none, else by removal.
  Result<void> recycle(const std::string& path);
  /// path() is zero-filled, durable and at least `bytes_min` long after this; the caller renames it away. Exhausted
  /// when there is no room.
  Result<void> take(uint64_t bytes_min);

 private:
  Result<void> fill(uint64_t bytes);
  void join();

  disk::Disk& disk_;
  Logger& logger_;
  const std::string directory_;
  const std::string path_;
  const uint64_t bytes_;
  const SparePreparation preparation_;
  std::thread filler_;
  bool file_exists_ = false;  // with any content
  bool ready_ = false;        // zero-filled and durable; written by the filler, read after joining it
};

}  // namespace hailstone::log
