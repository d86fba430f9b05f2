// Cuts one level's items, given in key order, into nodes by the rule of docs/formats/tree.md. Holds one node at most.
#pragma once

#include <optional>
#include <vector>

#include "tree/node.h"

namespace hailstone::tree {

class Splitter {
 public:
  /// A finished node.
  struct Built {
    Bytes first_key;
    Bytes encoded;
    Totals totals;
  };

  Splitter(unsigned level, const Shape& shape) : level_(level), shape_(shape) {}

  /// Adds the next item (copied) and returns the node that this completes, if any. Errors as encode_node.
  Result<std::optional<Built>> push(const ItemView& item);
  /// Whether an item of this hash, pushed now, would start a node.
  bool cuts_before(uint64_t hash) const {
    return items_.empty() || (items_.size() >= shape_.min && is_candidate(shape_, hash));
  }
  /// All pending items as one node: before an item that starts one, and at the level's end.
  Result<std::optional<Built>> cut();
  /// Forgets the pending items.
  void drop();

  bool empty() const { return items_.empty(); }
  /// Where the pending node starts. Not while empty.
  ByteView first_key() const { return key(items_.front()); }

 private:
  struct Pending {
    size_t offset;  // in bytes_: key, then body
    uint32_t key_bytes;
    uint32_t body_bytes;
    Totals totals;
    uint64_t hash;
  };
  ByteView key(const Pending& item) const { return ByteView(bytes_).substr(item.offset, item.key_bytes); }
  Result<Built> build(size_t count);

  const unsigned level_;
  const Shape shape_;
  Bytes bytes_;
  std::vector<Pending> items_;   // at most shape_.max between calls
  std::vector<ItemView> views_;  // scratch of build()
};

}  // namespace hailstone::tree
