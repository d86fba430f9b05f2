// One tree node, read in place from its encoded bytes: binary search and access without unpacking
// (docs/formats/tree.md).
#pragma once

#include <bit>
#include <compare>
#include <cstring>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "tree/boundary.h"
#include "tree/tree.h"

namespace hailstone::tree {

inline constexpr size_t kNodeHeaderBytes = 26;

/// One item, borrowed. `body` is the value in a leaf and the child's 32-byte id in an inner node; `totals` is
/// {1, weight} in a leaf and the child's totals in an inner node.
struct ItemView {
  ByteView key;
  ByteView body;
  Totals totals;
};

/// A key in the two parts a node keeps it in.
struct SplitKey {
  ByteView prefix;
  ByteView suffix;
};
std::strong_ordering compare(const SplitKey& a, const SplitKey& b);

/// Immutable; validated whole when decoded, so that no accessor can leave the bytes. Memory is that of the bytes and a
/// small constant. Indexes are 0..size()-1, unchecked.
class Node {
 public:
  /// Takes shared bytes as the chunk store gives them. Corrupt (or Unsupported: another version) names `id`.
  static Result<NodePtr> decode(const ChunkId& id, std::shared_ptr<const Bytes> raw);

  unsigned level() const { return level_; }
  bool leaf() const { return level_ == 0; }
  size_t size() const { return count_; }
  const Totals& totals() const { return totals_; }
  ByteView raw() const { return *raw_; }
  /// Bytes of memory this node holds.
  size_t memory() const;

  ByteView prefix() const { return {prefix_, prefix_bytes_}; }
  ByteView suffix(size_t i) const {
    const uint32_t begin = i == 0 ? 0 : end_at(key_ends_, i - 1);
    return {suffixes_ + begin, end_at(key_ends_, i) - begin};
  }
  SplitKey split_key(size_t i) const { return {prefix(), suffix(i)}; }
  /// Replaces `out` by the key.
  void key(size_t i, Bytes& out) const {
    out.assign(prefix());
    out.append(suffix(i));
  }
  Bytes key(size_t i) const {
    Bytes out;
    key(i, out);
    return out;
  }

  /// As in ItemView.
  ByteView body(size_t i) const;
  Totals item_totals(size_t i) const;
  /// Both at once, of a leaf.
  struct LeafItem {
    ByteView value;
    uint64_t weight;
  };
  LeafItem leaf_item(size_t i) const;
  ChunkId child(size_t i) const { return ChunkId(Hash256::from_view(body(i))); }

  /// The first item with key >= `key`, or size(); and whether it is equal.
  struct Place {
    size_t index;
    bool exact;
  };
  Place search(ByteView key) const;
  /// The last item with key <= `key`, or 0: the child that would hold `key`.
  size_t child_index(ByteView key) const {
    const Place at = search(key);
    return at.exact || at.index == 0 ? at.index : at.index - 1;
  }

  /// Private in effect: decode() makes nodes.
  struct Token {};
  Node(Token, std::shared_ptr<const Bytes> raw) : raw_(std::move(raw)) {}

 private:
  static uint32_t end_at(const char* ends, size_t i) {
    static_assert(std::endian::native == std::endian::little);
    uint32_t out;
    std::memcpy(&out, ends + 4 * i, 4);
    return out;
  }
  ByteView leaf_payload(size_t i) const {
    const uint32_t begin = i == 0 ? 0 : end_at(value_ends_, i - 1);
    return {payloads_ + begin, end_at(value_ends_, i) - begin};
  }
  const char* parse();
  const char* parse_items() const;
  const char* parse_keys() const;

  // A search reads the first of these and little of the bytes: each cache line it needs not touch counts.
  const char* prefix_ = nullptr;
  const char* key_ends_ = nullptr;
  const char* suffixes_ = nullptr;
  const char* end_ = nullptr;  // of the bytes
  uint16_t count_ = 0;
  uint16_t prefix_bytes_ = 0;
  uint8_t level_ = 0;
  const char* value_ends_ = nullptr;  // leaves only
  const char* payloads_ = nullptr;    // values, or children of kChildBytes each
  std::shared_ptr<const Bytes> raw_;
  Totals totals_;
};

/// The one encoding of these items: sorted strictly, 1 up to the shape's max of them, keys and bodies within their
/// limits (all CHECKed: callers test what users gave). Invalid when the weights' sum passes 2^64.
Result<Bytes> encode_node(unsigned level, std::span<const ItemView> items);

}  // namespace hailstone::tree
