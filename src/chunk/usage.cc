#include "chunk/usage.h"

#include <algorithm>

namespace hailstone::chunk {

void Usage::add(uint32_t segment, const SegmentEntry& entry) {
  std::lock_guard lock(mutex_);
  Segment& s = segments_[segment];
  s.live_bytes += entry.span();
  ++s.live_chunks;
  ++totals_.chunks;
  totals_.stored_bytes += entry.stored;
  totals_.uncompressed_bytes += entry.bytes;
}

void Usage::remove(uint32_t segment, const SegmentEntry& entry) {
  std::lock_guard lock(mutex_);
  Segment& s = segments_[segment];
  s.live_bytes -= entry.span();
  --s.live_chunks;
  --totals_.chunks;
  totals_.stored_bytes -= entry.stored;
  totals_.uncompressed_bytes -= entry.bytes;
}

void Usage::set_file_bytes(uint32_t segment, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Segment& s = segments_[segment];
  totals_.disk_bytes += bytes - s.file_bytes;
  s.file_bytes = bytes;
}

void Usage::add_other_bytes(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  totals_.disk_bytes += bytes;
}

void Usage::remove_other_bytes(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  totals_.disk_bytes -= std::min(bytes, totals_.disk_bytes);
}

void Usage::drop(uint32_t segment) {
  std::lock_guard lock(mutex_);
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return;
  totals_.disk_bytes -= it->second.file_bytes;
  segments_.erase(it);
}

ChunkStore::Stats Usage::stats() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

std::map<uint32_t, Usage::Segment> Usage::segments() const {
  std::lock_guard lock(mutex_);
  return segments_;
}

}  // namespace hailstone::chunk
