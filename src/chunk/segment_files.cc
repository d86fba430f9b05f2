#include "chunk/segment_files.h"

#include <algorithm>
#include <mutex>

#include "chunk/segment.h"

namespace hailstone::chunk {

std::string SegmentFiles::path(uint32_t segment) const { return directory_ + "/" + segment_name(segment); }

Result<std::shared_ptr<disk::File>> SegmentFiles::open(uint32_t segment) {
  {
    std::shared_lock lock(mutex_);
    const auto it = open_.find(segment);
    if (it != open_.end()) {
      const uint64_t now = clock_.load(std::memory_order_relaxed);
      // Written only when it changes, lest readers on many cores fight for the line.
      if (it->second.used.load(std::memory_order_relaxed) != now) it->second.used.store(now, std::memory_order_relaxed);
      return it->second.file;
    }
  }
  TRY(std::shared_ptr<disk::File> file, disk_.open(path(segment), disk::OpenMode::Read));
  std::unique_lock lock(mutex_);
  if (const auto it = open_.find(segment); it != open_.end()) return it->second.file;
  insert(segment, file);
  return file;
}

void SegmentFiles::adopt(uint32_t segment, std::shared_ptr<disk::File> file) {
  std::unique_lock lock(mutex_);
  open_.erase(segment);
  insert(segment, std::move(file));
}

void SegmentFiles::forget(uint32_t segment) {
  std::unique_lock lock(mutex_);
  open_.erase(segment);
}

void SegmentFiles::insert(uint32_t segment, std::shared_ptr<disk::File> file) {
  if (open_.size() >= open_max_) {
    const auto oldest = std::min_element(open_.begin(), open_.end(),
                                         [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    open_.erase(oldest);
  }
  Entry& entry = open_[segment];
  entry.file = std::move(file);
  entry.used = clock_.fetch_add(1) + 1;
}

}  // namespace hailstone::chunk
