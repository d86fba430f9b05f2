// The damaged records of a store: in memory by place, and in the file `quarantine` so that they stay known.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "chunk/local_store.h"
#include "disk/disk.h"

namespace hailstone::chunk {

struct QuarantinedRecord {
  uint32_t segment = 0;
  uint64_t offset = 0;
  ChunkId id;  // all zero when the header is lost; only its first 8 bytes when no more is known
  std::string what;
  bool operator==(const QuarantinedRecord&) const = default;
};

/// Thread-safe. The file is written without waiting for it: what a crash takes from it is found again by the next read.
class Quarantine {
 public:
  Quarantine(disk::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  /// The records in the file; a torn or damaged end of it is left out. Until loaded() nothing is written.
  Result<std::vector<QuarantinedRecord>> load();
  /// All that load() gave was added again or dropped: writes the file anew if that changed anything.
  Result<void> loaded();

  /// False when this place is known already.
  bool add(QuarantinedRecord record);
  bool remove(uint32_t segment, uint64_t offset);
  std::optional<QuarantinedRecord> find(uint32_t segment, uint64_t offset) const;
  std::vector<Damage> list() const;
  size_t size() const;
  /// Whether a damaged record that has a name is in this segment.
  bool holds(uint32_t segment) const;
  /// Forgets all of a segment that is gone; how many there were.
  size_t drop(uint32_t segment);
  /// Makes the file durable if it changed.
  Result<void> sync();

 private:
  using Place = std::pair<uint32_t, uint64_t>;
  void append_to_file(const QuarantinedRecord& record);

  disk::Disk& disk_;
  const std::string path_;
  mutable std::mutex mutex_;  // damage is met by any reader
  std::map<Place, QuarantinedRecord> records_;
  std::shared_ptr<disk::File> file_;
  uint64_t file_bytes_ = 0;  // where the next record goes
  bool file_dirty_ = false;
  bool loading_ = true;
  std::map<Place, QuarantinedRecord> in_file_;  // while loading
};

}  // namespace hailstone::chunk
