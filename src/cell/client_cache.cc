#include "cell/client_cache.h"

#include "cell/path.h"

namespace hailstone::cell::client {

const Copy* Cache::find(ByteView path) {
  const auto found = index_.find(path);
  if (found == index_.end()) return nullptr;
  found->second->used = true;
  return &found->second->copy;
}

void Cache::put(ByteView path, Copy copy) {
  drop(path);
  const size_t bytes = kEntryBytes + path.size() + (copy.file ? copy.file->content.size() : 0);
  if (bytes > bytes_max_ || entries_max_ == 0) return;
  while (ring_.size() >= entries_max_ || bytes_ + bytes > bytes_max_) evict_one();
  // Behind the hand: it comes by here last.
  const auto entry = ring_.insert(hand_, Entry{Bytes(path), std::move(copy), bytes, false});
  index_.emplace(entry->path, entry);
  bytes_ += bytes;
}

void Cache::drop(ByteView path) {
  if (const auto found = index_.find(path); found != index_.end()) erase(found->second);
}

void Cache::drop_covered(ByteView prefix) {
  for (auto entry = ring_.begin(); entry != ring_.end();)
    entry = covers(prefix, entry->path) ? erase(entry) : std::next(entry);
}

void Cache::clear() {
  index_.clear();
  if (gone_)
    for (Entry& entry : ring_) gone_->push_back(std::move(entry.path));
  ring_.clear();
  hand_ = ring_.end();
  bytes_ = 0;
}

Cache::Ring::iterator Cache::erase(Ring::iterator entry) {
  index_.erase(entry->path);
  bytes_ -= entry->bytes;
  if (hand_ == entry) ++hand_;
  if (gone_) gone_->push_back(std::move(entry->path));
  return ring_.erase(entry);
}

void Cache::evict_one() {
  for (;; ++hand_) {
    if (hand_ == ring_.end()) hand_ = ring_.begin();
    if (!hand_->used) break;
    hand_->used = false;
  }
  erase(hand_);
}

}  // namespace hailstone::cell::client
