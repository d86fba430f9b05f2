// One put or erase at a time per chunk id, so that the order in the log is the order in the index.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>
#include <span>
#include <vector>

#include "base/hash.h"

namespace hailstone::chunk {

class IdLocks {
 public:
  /// Holds `ids`, sorted and without duplicates: everybody takes them in that order, so nobody deadlocks.
  class Guard {
   public:
    Guard(IdLocks& locks, std::span<const ChunkId> ids) : locks_(locks), ids_(ids) {
      for (const ChunkId& id : ids_) locks_.acquire(id);
    }
    ~Guard() {
      for (const ChunkId& id : ids_) locks_.release(id);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    IdLocks& locks_;
    std::span<const ChunkId> ids_;
  };

 private:
  struct Stripe {
    std::mutex mutex;
    std::condition_variable released;
    std::vector<ChunkId> held;
  };
  Stripe& stripe(const ChunkId& id) { return stripes_[id.bytes[31] % stripes_.size()]; }
  void acquire(const ChunkId& id);
  void release(const ChunkId& id);

  std::array<Stripe, 64> stripes_;
};

}  // namespace hailstone::chunk
