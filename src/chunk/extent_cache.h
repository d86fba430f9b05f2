// Chunks that are asked for again and again, verified once and kept in memory that sockets can send from without a
// copy.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "chunk/store.h"

namespace hailstone::chunk {

/// Verification costs more than sendfile: a chunk met a second time is copied to memory, from where it is
/// sent without being read from the disk, and so without being verified, again. Whatever happens to the segment file
/// afterwards, those bytes stay what they were when they were verified.
///
/// Memory comes in regions that are only ever appended to and given up whole: a socket may still hold their pages, so
/// none is ever written twice. What was used since it was admitted moves on to the newest region when its own is given
/// up. Thread-safe.
class ExtentCache {
 public:
  struct Options {
    uint64_t bytes_max = 256u << 20;    // 0: nothing is kept
    uint64_t region_bytes = 16u << 20;  // a multiple of 2 MiB, at least kChunkBytesMax
  };
  ExtentCache(ChunkStore& store, const Options& options);

  ChunkStore& store() const { return store_; }

  /// As ChunkStore::extent(). Of stored frames nothing is kept.
  Result<Extent> extent(const ChunkId& id, ChunkStore::Form form, uint64_t offset, uint64_t length);

  struct Stats {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t chunks = 0;
    uint64_t bytes = 0;  // of memory, regions still pinned by a slow reader not counted
  };
  Stats stats() const;

 private:
  struct Region {
    explicit Region(uint64_t bytes);
    ~Region();
    char* base = nullptr;  // null: there was no memory
    const uint64_t bytes;
    uint64_t used = 0;
    std::vector<ChunkId> chunks;
  };
  struct Place {
    std::shared_ptr<Region> region;
    const char* memory = nullptr;
    uint64_t bytes = 0;
    bool used = false;  // since it was admitted
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<ChunkId, Place> places;
  };

  Shard& shard_of(const ChunkId& id) { return shards_[id.bytes[31] % kShards]; }
  bool met_before(const ChunkId& id);
  void admit(const ChunkId& id, ByteView bytes);
  bool append(const ChunkId& id, ByteView bytes);  // with regions_mutex_ held
  void give_up_oldest();                           // with regions_mutex_ held

  static constexpr size_t kShards = 16;
  static constexpr size_t kRecent = 1u << 15;

  ChunkStore& store_;
  const Options options_;
  std::array<Shard, kShards> shards_;
  std::vector<std::atomic<uint64_t>> recent_;  // prefixes of ids met once, newest in each slot
  std::mutex regions_mutex_;                   // taken before a shard's
  std::deque<std::shared_ptr<Region>> regions_;
  std::atomic<uint64_t> hits_ = 0;
  std::atomic<uint64_t> misses_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
};

}  // namespace hailstone::chunk
