// Copies of files in memory: bounded, the least used go first. What they are worth is for others to say.
#pragma once

#include <list>
#include <unordered_map>

#include "cell/client_types.h"

namespace hailstone::cell::client {

class Cache {
 public:
  /// Of entries; and of paths and contents with kEntryBytes for each. The path of every entry that goes, for whatever
  /// reason, is put into `gone`, unless that is null.
  Cache(size_t entries_max, size_t bytes_max, std::vector<Bytes>* gone = nullptr)
      : entries_max_(entries_max), bytes_max_(bytes_max), gone_(gone) {}

  /// Valid until something is put or dropped. Allocates nothing.
  const Copy* find(ByteView path);
  /// Replaces what is there. A copy that alone is beyond the bound is not kept.
  void put(ByteView path, Copy copy);
  void drop(ByteView path);
  /// At the path and beneath it. Looks at every entry.
  void drop_covered(ByteView prefix);
  void clear();

  size_t entries() const { return ring_.size(); }
  size_t bytes() const { return bytes_; }

  static constexpr size_t kEntryBytes = 256;  // more than what an entry takes beside path and content

 private:
  struct Entry {
    Bytes path;
    Copy copy;
    size_t bytes = 0;
    bool used = false;  // since the hand came by
  };
  using Ring = std::list<Entry>;
  Ring::iterator erase(Ring::iterator entry);
  void evict_one();

  size_t entries_max_, bytes_max_;
  std::vector<Bytes>* gone_;
  size_t bytes_ = 0;
  Ring ring_;
  Ring::iterator hand_ = ring_.end();
  std::unordered_map<ByteView, Ring::iterator> index_;  // by Entry::path
};

}  // namespace hailstone::cell::client
