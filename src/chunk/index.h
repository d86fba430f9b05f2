// Where each chunk lies, in memory: 16 bytes a slot, about 20 bytes a chunk, in byte order of the names.
#pragma once

#include <array>
#include <cstdint>
#include <shared_mutex>
#include <vector>

#include "base/hash.h"

namespace hailstone::chunk {

/// A place in a segment, packed into 64 bits with the flags of the chunk there.
struct Location {
  static constexpr uint64_t kVerified = 1;     // SHA-256 checked since the store was opened
  static constexpr uint64_t kQuarantined = 2;  // damaged: has() is false
  static constexpr uint64_t kFlags = 15;

  uint64_t packed = 0;  // segment:24 offset/8:30 size_class:6 flags:4; 0 is no place, for segments begin with a header

  static Location make(uint32_t segment, uint64_t offset, uint64_t span);
  uint32_t segment() const { return static_cast<uint32_t>(packed >> 40); }
  uint64_t offset() const { return (packed >> 10 & ((1u << 30) - 1)) * 8; }
  /// At least the bytes of the record, at most a quarter more: how much to read to have all of it.
  uint64_t span_bound() const;
  bool is(uint64_t flag) const { return (packed & flag) != 0; }
  /// Orders by segment, then offset.
  uint64_t place() const { return packed >> 10; }
};

/// The first 8 bytes of an id as a number: in the same order as ids.
uint64_t prefix_of(const ChunkId& id);

/// Knows ids by their first 8 bytes only; two chunks may share those, so who asks confirms by reading the record.
/// Thread-safe: 256 shards, each an open-addressing table kept in order (linear probing from a position that grows with
/// the prefix, smaller prefix first), so that a walk through it is a walk through the names.
class Index {
 public:
  struct Slot {
    uint64_t prefix = 0;
    Location location;
  };
  /// What find() answers: nearly always none or one.
  struct Found {
    Slot first;
    std::vector<Slot> more;
    bool empty() const { return first.location.packed == 0; }
    template <class F>
    void each(F&& visit) const {
      if (!empty()) visit(first);
      for (const Slot& slot : more) visit(slot);
    }
  };

  /// Makes room for about this many at once.
  void reserve(uint64_t chunks);
  Found find(uint64_t prefix) const;
  void insert(uint64_t prefix, Location location);
  /// The three below act on the slot with this prefix and place, and answer false when there is none any more.
  bool erase(uint64_t prefix, Location at);
  bool replace(uint64_t prefix, Location at, Location with);
  bool set_flags(uint64_t prefix, Location at, uint64_t flags);

  /// Up to `limit` slots with prefix >= `from` in order; slots of one prefix are never split over two answers.
  std::vector<Slot> walk(uint64_t from, size_t limit) const;

  uint64_t slots_bytes() const;

 private:
  static constexpr size_t kShards = 256;
  struct alignas(64) Shard {
    mutable std::shared_mutex mutex;  // readers of the store come from every core
    std::vector<Slot> slots;          // `homes` and an overflow behind them; never wraps around
    uint64_t homes = 0;
    uint64_t used = 0;

    size_t home(uint64_t prefix) const;
    size_t lower_bound(uint64_t prefix) const;
    void place(Slot slot);
    void grow(uint64_t homes_wanted);
    size_t locate(uint64_t prefix, Location at) const;
  };
  Shard& shard(uint64_t prefix) { return shards_[prefix >> 56]; }
  const Shard& shard(uint64_t prefix) const { return shards_[prefix >> 56]; }
  std::array<Shard, kShards> shards_;
};

}  // namespace hailstone::chunk
