// A queue that costs nothing while it is empty: std::deque keeps 576 bytes for each of a group's.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace hailstone::paxos {

/// First in, first out, in one piece of memory. References hold until the next push.
template <class T>
class Fifo {
 public:
  bool empty() const { return first_ == items_.size(); }
  size_t size() const { return items_.size() - first_; }
  T& front() { return items_[first_]; }
  T& back() { return items_.back(); }
  T& operator[](size_t i) { return items_[first_ + i]; }
  const T& operator[](size_t i) const { return items_[first_ + i]; }
  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  auto end() const { return items_.end(); }

  void push_back(T item) {
    if (items_.size() == items_.capacity() && first_ * 2 >= items_.size()) compact();
    items_.push_back(std::move(item));
  }
  void push_front(T item) {
    if (first_ == 0) {
      const size_t room = items_.size() + 1;
      items_.insert(items_.begin(), room, T());
      first_ = room;
    }
    items_[--first_] = std::move(item);
  }
  void pop_front() {
    if (++first_ == items_.size()) clear();
  }
  void clear() {
    items_.clear();
    first_ = 0;
  }
  /// Gives its memory back.
  void release() { *this = Fifo(); }
  size_t bytes() const { return items_.capacity() * sizeof(T); }

 private:
  // Moves no more items than have been taken since the last time.
  void compact() {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }

  std::vector<T> items_;
  size_t first_ = 0;  // those before are taken
};

}  // namespace hailstone::paxos
