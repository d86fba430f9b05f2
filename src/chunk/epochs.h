// Which chunks a collection must leave alone because a write session may still commit them: epochs, never clocks.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "chunk/store.h"

namespace hailstone::chunk {

inline constexpr size_t kTouchedIdsMax = 1u << 20;  // some 40 bytes of memory each

/// Thread-safe. An epoch begins with each collection. New chunks are known by their place, at or beyond the horizon of
/// an epoch; chunks that were there already and were put again or touched, by the first 8 bytes of their ids.
///
/// Invariants: a session belongs to the epoch in which it began; what it puts or touches is known from that epoch on
/// for as long as the session is open, or a collection that began meanwhile goes on. Two ids that share 8 bytes only
/// protect each other.
class Epochs {
 public:
  /// `horizon`: where the store appends now. `touched_max`: ids remembered in all.
  Epochs(Position horizon, size_t touched_max);
  ~Epochs();

  std::unique_ptr<WriteSession> begin_session();
  /// `position` gives the place where the next new chunk goes; called while no session can begin.
  template <class F>
  Result<CollectionToken> begin_collection(F&& position);
  void end_collection(const CollectionToken& token);

  /// With the id's lock held, like protects(): a chunk that was there already was asked for.
  void touched(uint64_t prefix);

  /// Whether a collection may go on: Conflict, Unavailable.
  Result<void> check(const CollectionToken& token) const;
  bool protects(const CollectionToken& token, uint64_t prefix, Position at) const;

 private:
  struct State;
  class Session;
  CollectionToken begin_locked(Position horizon);
  std::shared_ptr<State> state_;  // shared with the sessions, which may outlive the store
};

struct Epochs::State {
  struct Epoch {
    Position horizon;
    uint64_t sessions = 0;
    std::unordered_set<uint64_t> touched;
    bool overflowed = false;
  };
  mutable std::mutex mutex;          // writers of all threads; some hash table steps long
  std::map<uint64_t, Epoch> epochs;  // the last one is current
  CollectionToken running;           // epoch 0: none
  size_t touched_ids = 0;
  size_t touched_max = 0;
  std::atomic<bool> recording = false;  // somebody may ask for what is touched now

  void settle();
};

template <class F>
Result<CollectionToken> Epochs::begin_collection(F&& position) {
  std::lock_guard lock(state_->mutex);
  TRY(const Position horizon, position());
  return begin_locked(horizon);
}

}  // namespace hailstone::chunk
