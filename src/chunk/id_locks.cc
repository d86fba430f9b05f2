#include "chunk/id_locks.h"

#include <algorithm>

namespace hailstone::chunk {

void IdLocks::acquire(const ChunkId& id) {
  Stripe& s = stripe(id);
  std::unique_lock lock(s.mutex);
  s.released.wait(lock, [&] { return std::find(s.held.begin(), s.held.end(), id) == s.held.end(); });
  s.held.push_back(id);
}

void IdLocks::release(const ChunkId& id) {
  Stripe& s = stripe(id);
  {
    std::lock_guard lock(s.mutex);
    std::erase(s.held, id);
  }
  s.released.notify_all();
}

}  // namespace hailstone::chunk
