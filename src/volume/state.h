// What readers need of all volumes at hand: an immutable view, replaced as a whole at each applied command.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "volume/records.h"

namespace hailstone::volume {

inline constexpr size_t kFlipsHeldMax =
    8192;  // of a channel, in memory: bounds the overlay and Last-Modified's look back
inline constexpr size_t kFlipsHeldMin = 64;  // kept even when out of grace

using Flips = std::shared_ptr<const std::vector<Flip>>;  // oldest first; the last one is in force; never empty

struct Volume {
  VolumeRecord record;
  std::map<Bytes, Flips, std::less<>> channels;
  std::map<Bytes, ReleaseNumber, std::less<>> tags;
  std::map<ReleaseNumber, UnixMicros> trashed;  // since when

  const Flip* channel(std::string_view name) const {
    const auto it = channels.find(name);
    return it == channels.end() ? nullptr : &it->second->back();
  }
};

using Volumes = std::map<Bytes, std::shared_ptr<const Volume>, std::less<>>;
using Keys = std::map<Bytes, std::shared_ptr<const AccessKey>, std::less<>>;

/// A map that states share for as long as it does not change.
template <class Map>
class Shared {
 public:
  const Map& operator*() const { return *map_; }
  const Map* operator->() const { return map_.get(); }
  /// A copy of its own, to be changed by the only thread that knows this Shared.
  Map& change() {
    auto copy = std::make_shared<Map>(*map_);
    Map& out = *copy;
    map_ = std::move(copy);
    return out;
  }
  void set(Map map) { map_ = std::make_shared<const Map>(std::move(map)); }
  bool same(const Shared& other) const { return map_ == other.map_; }

 private:
  std::shared_ptr<const Map> map_ = std::make_shared<const Map>();
};

struct State {
  Shared<Volumes> volumes;
  Shared<Keys> keys;
  Slot slot;        // the last command it shows, of one group; of several together: 0
  UnixMicros time;  // that command's time

  std::shared_ptr<const Volume> find(std::string_view name) const {
    const auto it = volumes->find(name);
    return it == volumes->end() ? nullptr : it->second;
  }
};

/// Hands the current State from the one applying thread to all readers. The mutex guards a pointer copy; readers take
/// it only when `version` has moved (StateCache), so a quiet repository costs them one load per request.
class PublishedState {
 public:
  void publish(std::shared_ptr<const State> state) {
    {
      std::scoped_lock lock(mutex_);
      state_ = std::move(state);
    }
    version_.fetch_add(1, std::memory_order_release);
  }
  std::shared_ptr<const State> load() const {
    std::scoped_lock lock(mutex_);
    return state_;
  }
  uint64_t version() const { return version_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const State> state_ = std::make_shared<State>();
  std::atomic<uint64_t> version_{0};
};

/// One thread's copy of the pointer. get() never returns a state older than one published before the call.
class StateCache {
 public:
  explicit StateCache(const PublishedState& source) : source_(source) {}
  const std::shared_ptr<const State>& get() {
    const uint64_t version = source_.version();
    if (!state_ || version != seen_) {
      state_ = source_.load();
      seen_ = version;
    }
    return state_;
  }

 private:
  const PublishedState& source_;
  std::shared_ptr<const State> state_;
  uint64_t seen_ = 0;
};

}  // namespace hailstone::volume
