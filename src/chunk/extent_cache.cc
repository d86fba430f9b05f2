#include "chunk/extent_cache.h"

#include <sys/mman.h>

#include <cstring>

namespace hailstone::chunk {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kLargePage = 2u << 20;

uint64_t page_aligned(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

// In large pages where the system gives them: the kernel then takes hundreds at once into a socket.
ExtentCache::Region::Region(uint64_t size) : bytes(size) {
  void* const whole = ::mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) return;
  const auto begin = reinterpret_cast<uintptr_t>(whole);
  const uintptr_t aligned = (begin + kLargePage - 1) / kLargePage * kLargePage;
  if (aligned > begin) ::munmap(whole, aligned - begin);
  ::munmap(reinterpret_cast<void*>(aligned + bytes), begin + kLargePage - aligned);
  base = reinterpret_cast<char*>(aligned);
  ::madvise(base, bytes, MADV_HUGEPAGE);
}

ExtentCache::Region::~Region() {
  if (base != nullptr) ::munmap(base, bytes);
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
      return Extent{.pin = place.region, .length = length, .memory = place.memory + offset};
    }
  }
  misses_.fetch_add(1, std::memory_order_relaxed);
  if (met_before(id)) {
    // What is stored compressed has no extent, and is kept unpacked by whoever wants it.
    TRY(const Stat stat, store_.stat(id));
    if (!stat.zstd) {
      TRY(const SharedBytes bytes, store_.fetch(id));
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
    auto region = std::make_shared<Region>(options_.region_bytes);
    if (region->base == nullptr) return false;
    regions_.push_back(std::move(region));
    while (regions_.size() > 1 && regions_.size() * options_.region_bytes > options_.bytes_max) give_up_oldest();
  }
  const std::shared_ptr<Region> region = regions_.back();
  if (region->used + room > options_.region_bytes) return false;  // filled by what moved on
  char* const memory = region->base + region->used;
  std::memcpy(memory, bytes.data(), bytes.size());
  region->used += room;
  region->chunks.push_back(id);
  bytes_.fetch_add(room, std::memory_order_relaxed);
  Shard& shard = shard_of(id);
  const std::lock_guard hold(shard.mutex);
  shard.places.insert_or_assign(id, Place{region, memory, bytes.size(), false});
  return true;
}

void ExtentCache::give_up_oldest() {
  const std::shared_ptr<Region> oldest = std::move(regions_.front());
  regions_.pop_front();
  bytes_.fetch_sub(oldest->used, std::memory_order_relaxed);
  // At most half a region moves on, so that giving up makes room.
  uint64_t moved = 0;
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
    if (regions_.back()->used + page_aligned(place.bytes) > options_.region_bytes) continue;
    if (append(id, {place.memory, place.bytes})) moved += place.bytes;
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
