#include "chunk/extent_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hailstone::chunk {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t page_aligned(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

bool write_all(int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return true;
}

bool read_all(int fd, Bytes& out, uint64_t offset) {
  for (size_t got = 0; got < out.size();) {
    const ssize_t done = ::pread(fd, out.data() + got, out.size() - got, static_cast<off_t>(offset + got));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    got += static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

ExtentCache::Region::~Region() {
  if (fd >= 0) ::close(fd);
}

ExtentCache::ExtentCache(ChunkStore& store, const Options& options)
    : store_(store), options_(options), recent_(kRecent) {}

Result<Extent> ExtentCache::extent(const ChunkId& id, ChunkStore::Form form, uint64_t offset, uint64_t length) {
  if (form != ChunkStore::Form::Plain || options_.bytes_max == 0) return store_.extent(id, form, offset, length);
  {
    Shard& shard = shard_of(id);
    const std::lock_guard hold(shard.mutex);
    if (const auto it = shard.places.find(id); it != shard.places.end()) {
      Place& place = it->second;
      if (offset > place.bytes || length > place.bytes - offset)
        return fail(Code::Invalid, "range beyond the end of chunk " + id.brief());
      place.used = true;
      hits_.fetch_add(1, std::memory_order_relaxed);
      return Extent{place.region, place.region->fd, place.offset + offset, length};
    }
  }
  misses_.fetch_add(1, std::memory_order_relaxed);
  if (met_before(id)) {
    // What is stored compressed has no extent, and is kept unpacked by whoever wants it.
    TRY(const Stat stat, store_.stat(id));
    if (!stat.zstd) {
      TRY(const SharedBytes bytes, store_.get(id));
      admit(id, *bytes);
    }
  }
  return store_.extent(id, form, offset, length);
}

bool ExtentCache::met_before(const ChunkId& id) {
  uint64_t prefix = 0;
  std::memcpy(&prefix, id.bytes.data(), sizeof prefix);
  return recent_[prefix % kRecent].exchange(prefix, std::memory_order_relaxed) == prefix;
}

void ExtentCache::admit(const ChunkId& id, ByteView bytes) {
  const std::lock_guard hold(regions_mutex_);
  {
    Shard& shard = shard_of(id);
    const std::lock_guard one(shard.mutex);
    if (shard.places.contains(id)) return;
  }
  append(id, bytes);
}

bool ExtentCache::append(const ChunkId& id, ByteView bytes) {
  const uint64_t room = page_aligned(bytes.size());
  if (room > options_.region_bytes) return false;
  if (regions_.empty() || regions_.back()->used + room > options_.region_bytes) {
    auto region = std::make_shared<Region>();
    region->fd = ::memfd_create("hailstone-extents", MFD_CLOEXEC);
    if (region->fd < 0) return false;
    regions_.push_back(std::move(region));
    while (regions_.size() > 1 && regions_.size() * options_.region_bytes > options_.bytes_max) give_up_oldest();
  }
  const std::shared_ptr<Region> region = regions_.back();
  if (region->used + room > options_.region_bytes) return false;  // filled by what moved on
  const uint64_t offset = region->used;
  if (!write_all(region->fd, bytes, offset)) return false;
  region->used += room;
  region->chunks.push_back(id);
  bytes_.fetch_add(room, std::memory_order_relaxed);
  Shard& shard = shard_of(id);
  const std::lock_guard hold(shard.mutex);
  shard.places.insert_or_assign(id, Place{region, offset, bytes.size(), false});
  return true;
}

void ExtentCache::give_up_oldest() {
  const std::shared_ptr<Region> oldest = std::move(regions_.front());
  regions_.pop_front();
  bytes_.fetch_sub(oldest->used, std::memory_order_relaxed);
  // At most half a region moves on, so that giving up makes room.
  uint64_t moved = 0;
  Bytes buffer;
  for (const ChunkId& id : oldest->chunks) {
    Shard& shard = shard_of(id);
    Place place;
    {
      const std::lock_guard hold(shard.mutex);
      const auto it = shard.places.find(id);
      if (it == shard.places.end() || it->second.region != oldest) continue;
      place = std::move(it->second);
      shard.places.erase(it);
    }
    if (!place.used || moved + place.bytes > options_.region_bytes / 2) continue;
    buffer.resize(place.bytes);
    if (!read_all(oldest->fd, buffer, place.offset)) continue;
    if (regions_.back()->used + page_aligned(place.bytes) > options_.region_bytes) continue;
    if (append(id, buffer)) moved += place.bytes;
  }
}

ExtentCache::Stats ExtentCache::stats() const {
  Stats out{hits_.load(), misses_.load(), 0, bytes_.load()};
  for (const Shard& shard : shards_) {
    const std::lock_guard hold(shard.mutex);
    out.chunks += shard.places.size();
  }
  return out;
}

}  // namespace hailstone::chunk
