// Bytes received on a connection and not yet used; what is pinned at its front stays in place.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/bytes.h"

namespace hailstone::http {

/// [0, pinned) is a request head that views point into; [begin, end) is unread.
class InputBuffer {
 public:
  explicit InputBuffer(size_t capacity) : data_(new char[capacity]), capacity_(capacity), capacity_home_(capacity) {}

  ByteView unread() const { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(size_t count) { begin_ += count; }
  char* space() { return data_.get() + end_; }
  size_t space_bytes() const { return capacity_ - end_; }
  void filled(size_t count) { end_ += count; }
  /// Space there would be after the first `count` unread bytes, all others consumed.
  size_t space_behind(size_t count) const { return capacity_ - begin_ - count; }

  /// Consumes the first `count` unread bytes and keeps them in place until unpin().
  void pin(size_t count) { pinned_ = begin_ += count; }
  void unpin() {
    pinned_ = 0;
    if (begin_ == end_) {
      begin_ = end_ = 0;
      if (capacity_ > 4 * capacity_home_) reallocate(capacity_home_);
    }
  }

  /// Moves unread bytes down to what is pinned. True when there is space after it.
  bool compact() {
    if (begin_ > pinned_) {
      std::memmove(data_.get() + pinned_, data_.get() + begin_, end_ - begin_);
      end_ -= begin_ - pinned_;
      begin_ = pinned_;
    }
    return end_ < capacity_;
  }
  /// Makes capacity at least `capacity`; nothing may be pinned: views are void.
  void grow(size_t capacity) {
    compact();
    if (capacity > capacity_) reallocate(capacity);
  }
  size_t capacity() const { return capacity_; }

 private:
  void reallocate(size_t capacity) {
    std::unique_ptr<char[]> bigger(new char[capacity]);
    std::memcpy(bigger.get(), data_.get(), end_);
    data_ = std::move(bigger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  size_t capacity_, capacity_home_;
  size_t pinned_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace hailstone::http
