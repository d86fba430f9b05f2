#include "flip/live_table.h"

namespace hailstone::flip {

// ---- any thread ----

std::shared_ptr<LiveEntry> LiveTable::find(ByteView path) const {
  const std::scoped_lock lock(mutex_);
  const auto at = index_.find(path);
  return at == index_.end() ? nullptr : *at->second;
}

std::shared_ptr<LiveEntry> LiveTable::enter(ByteView path) {
  const std::scoped_lock lock(mutex_);
  if (const auto at = index_.find(path); at != index_.end()) return *at->second;
  if (ring_.size() >= entries_max_ && !evict_one()) return nullptr;
  const auto at = ring_.insert(hand_, std::make_shared<LiveEntry>(Bytes(path)));  // the hand comes here last
  index_.emplace((*at)->path, at);
  return *at;
}

size_t LiveTable::size() const {
  const std::scoped_lock lock(mutex_);
  return ring_.size();
}

bool LiveTable::evict_one() {
  // Once around clears every mark; whatever is left after that is held by who waits for it.
  for (size_t steps = 2 * ring_.size(); steps > 0; --steps) {
    if (hand_ == ring_.end()) hand_ = ring_.begin();
    LiveEntry& entry = **hand_;
    if (entry.used.exchange(false, std::memory_order_relaxed) || entry.busy.load()) {
      ++hand_;
      continue;
    }
    {
      const std::scoped_lock lock(entry.mutex);
      entry.state.store((entry.state.load() | LiveEntry::kRetired) & ~LiveEntry::kCounts);
    }
    index_.erase(entry.path);
    hand_ = ring_.erase(hand_);
    return true;
  }
  return false;
}

// ---- the writer ----

void LiveTable::put(LiveEntry& entry, LivePtr live) {
  const std::scoped_lock lock(entry.mutex);
  const uint64_t state = entry.state.load();
  if ((state & LiveEntry::kRetired) != 0) return;
  entry.live = std::move(live);
  entry.state.store((state | LiveEntry::kCounts) + LiveEntry::kVersionStep);
}

std::shared_ptr<LiveEntry> LiveTable::drop(ByteView path) {
  auto entry = find(path);
  const bool counted = entry != nullptr && (entry->state.fetch_and(~LiveEntry::kCounts) & LiveEntry::kCounts) != 0;
  return counted ? std::move(entry) : nullptr;
}

size_t LiveTable::drop_all() {
  const std::scoped_lock lock(mutex_);
  size_t counted = 0;
  for (const auto& entry : ring_) counted += entry->state.fetch_and(~LiveEntry::kCounts) & LiveEntry::kCounts;
  return counted;
}

// ---- readers ----

const LivePtr& LiveCache::get(ByteView volume, ByteView channel) {
  auto at = knowns_.find(NameView{volume, channel});
  if (at == knowns_.end()) at = meet(volume, channel);
  if (at == knowns_.end()) return nothing_;
  Known& known = at->second;
  LiveEntry& entry = *known.entry;
  uint64_t state = entry.state.load(std::memory_order_acquire);
  if ((state & LiveEntry::kCounts) != 0 && state != known.state) {
    const std::scoped_lock lock(entry.mutex);
    state = entry.state.load(std::memory_order_acquire);
    known.live = entry.live;
    known.state = state;
  }
  if ((state & LiveEntry::kCounts) == 0) {
    if ((state & LiveEntry::kRetired) != 0) knowns_.erase(at);
    return nothing_;
  }
  // The lease end is read while the copy counts: a version that was dropped in between would not count again. So it is
  // the lease that covers the copy, and if the clock has not come to its end afterwards it had not at that instant,
  // however long this thread or the client's stood still meanwhile.
  const int64_t lease_ends_ns = table_->lease_ends_ns_.load(std::memory_order_acquire);
  if (entry.state.load(std::memory_order_acquire) != state) return nothing_;
  if (table_->clock().monotonic_ns() >= lease_ends_ns) return nothing_;
  if (known.live->file && !entry.used.load(std::memory_order_relaxed)) entry.used.store(true);
  hits_.store(hits_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return known.live;
}

LiveCache::Knowns::iterator LiveCache::meet(ByteView volume, ByteView channel) {
  auto entry = table_->find(channel_path(volume, channel));
  if (entry == nullptr) return knowns_.end();
  if (knowns_.size() >= table_->entries_max_) knowns_.clear();
  return knowns_.emplace(Name{Bytes(volume), Bytes(channel)}, Known{std::move(entry), 0, {}}).first;
}

}  // namespace hailstone::flip
