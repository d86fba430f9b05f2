// A bounded map that forgets what was used longest ago. One thread's.
#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"

namespace hailstone::depot {

/// Each value has a cost, by default 1; the sum of costs stays within `cost_max`, a value above it is not kept.
/// Pointers stay valid until the value is erased or pushed out, so until the next put() at the longest.
template <class Value>
class Lru {
 public:
  explicit Lru(uint64_t cost_max) : cost_max_(cost_max) {}

  Value* find(ByteView key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    if (it->second != order_.begin()) order_.splice(order_.begin(), order_, it->second);
    return &it->second->value;
  }

  /// The kept value, or nullptr when it costs too much.
  Value* put(ByteView key, Value value, uint64_t cost = 1) {
    erase(key);
    if (cost > cost_max_) return nullptr;
    while (cost_ + cost > cost_max_) drop(std::prev(order_.end()));
    order_.push_front(Item{Bytes(key), std::move(value), cost});
    index_.emplace(order_.front().key, order_.begin());
    cost_ += cost;
    return &order_.front().value;
  }

  void erase(ByteView key) {
    if (const auto it = index_.find(key); it != index_.end()) drop(it->second);
  }
  void clear() {
    index_.clear();
    order_.clear();
    cost_ = 0;
  }
  size_t size() const { return index_.size(); }

 private:
  struct Item {
    Bytes key;
    Value value;
    uint64_t cost;
  };
  struct Hash {
    size_t operator()(ByteView key) const { return xxh3(key); }
  };
  using Order = std::list<Item>;

  void drop(typename Order::iterator item) {
    cost_ -= item->cost;
    index_.erase(item->key);
    order_.erase(item);
  }

  uint64_t cost_max_;
  uint64_t cost_ = 0;
  Order order_;                                                         // newest use first
  std::unordered_map<ByteView, typename Order::iterator, Hash> index_;  // views of the items' keys
};

}  // namespace hailstone::depot
