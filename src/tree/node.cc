#include "tree/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "chunk/store.h"

namespace hailstone::tree {
namespace {

constexpr uint32_t kMagic = 0x4e525448;  // "HTRN"
constexpr uint8_t kVersion = 1;
constexpr size_t kChildBytes = 48;  // id, keys, weight
constexpr size_t kWeightBytesMax = 10;

static_assert(kNodeHeaderBytes + kShapes.leaf.max * (kKeyBytesMax + 4 + 4 + kWeightBytesMax + kValueBytesMax) <=
              chunk::kChunkBytesMax);
static_assert(kNodeHeaderBytes + kShapes.inner.max * (kKeyBytesMax + 4 + kChildBytes) <= chunk::kChunkBytesMax);

constexpr const char* kUnsupportedVersion = "unknown version";

uint64_t load_u64(const char* p) {
  uint64_t out;
  std::memcpy(&out, p, 8);
  return out;
}

/// The first eight bytes as a number that orders as they do; zeros where there are fewer, so equal heads tell nothing.
uint64_t head(ByteView bytes) {
  uint64_t out = 0;
  std::memcpy(&out, bytes.data(), std::min<size_t>(bytes.size(), 8));
  return __builtin_bswap64(out);
}

/// The same by one load where bytes follow up to `end`, as a node's payloads do.
uint64_t head_before(const char* end, ByteView suffix) {
  if (end - suffix.data() < 8) return head(suffix);
  uint64_t out;
  std::memcpy(&out, suffix.data(), 8);
  out = __builtin_bswap64(out);
  return suffix.size() >= 8 ? out : suffix.empty() ? 0 : out & ~uint64_t{0} << (64 - 8 * suffix.size());
}

size_t varint_bytes(uint64_t v) { return static_cast<size_t>((std::bit_width(v | 1) + 6) / 7); }

size_t common_prefix(ByteView a, ByteView b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first -
                             a.begin());
}

/// The most keys a subtree of this level can have; saturates.
uint64_t keys_max(unsigned level) {
  uint64_t out = kShapes.leaf.max;
  for (unsigned i = 0; i < level; ++i) {
    if (__builtin_mul_overflow(out, kShapes.inner.max, &out)) return UINT64_MAX;
  }
  return out;
}

bool add(Totals& sum, const Totals& more) {
  return !__builtin_add_overflow(sum.keys, more.keys, &sum.keys) &&
         !__builtin_add_overflow(sum.weight, more.weight, &sum.weight);
}

}  // namespace

std::strong_ordering compare(const SplitKey& a, const SplitKey& b) {
  // Both prefixes first; then the longer prefix's rest against the other's suffix; then what is left of both.
  const size_t shared = std::min(a.prefix.size(), b.prefix.size());
  if (const auto c = a.prefix.substr(0, shared) <=> b.prefix.substr(0, shared); c != 0) return c;
  ByteView a_rest = a.prefix.substr(shared), b_rest = b.prefix.substr(shared);
  ByteView a_tail = a.suffix, b_tail = b.suffix;
  const auto against = [](ByteView& prefix_rest, ByteView& tail) {
    const size_t n = std::min(prefix_rest.size(), tail.size());
    const auto c = prefix_rest.substr(0, n) <=> tail.substr(0, n);
    if (n < prefix_rest.size() && c == 0) return std::strong_ordering::greater;
    tail.remove_prefix(n);
    return std::strong_ordering(c);
  };
  if (!a_rest.empty()) {
    if (const auto c = against(a_rest, b_tail); c != 0) return c;
  } else if (!b_rest.empty()) {
    if (const auto c = against(b_rest, a_tail); c != 0) return 0 <=> c;
  }
  return a_tail <=> b_tail;
}

Result<NodePtr> Node::decode(const ChunkId& id, std::shared_ptr<const Bytes> raw) {
  auto node = std::make_shared<Node>(Token{}, std::move(raw));
  const char* problem = node->parse();
  if (problem == nullptr) return NodePtr(std::move(node));
  return fail(problem == kUnsupportedVersion ? Code::Unsupported : Code::Corrupt,
              fmt::format("tree node {}: {}", id.brief(), problem));
}

const char* Node::parse() {
  Decoder in(*raw_);
  end_ = raw_->data() + raw_->size();
  const uint32_t magic = in.u32();
  const uint8_t version = in.u8();
  level_ = in.u8();
  count_ = in.u16();
  prefix_bytes_ = in.u16();
  totals_.keys = in.u64();
  totals_.weight = in.u64();
  if (!in.ok()) return "shorter than a header";
  if (magic != kMagic) return "no tree node (magic)";
  if (version != kVersion) return kUnsupportedVersion;
  if (level_ > kLevelMax) return "level beyond the limit";
  if (count_ == 0 || count_ > kShapes.at(level_).max) return "number of items beyond the limit";
  if (prefix_bytes_ > kKeyBytesMax) return "prefix beyond the limit";
  prefix_ = in.raw(prefix_bytes_).data();
  key_ends_ = in.raw(4 * size_t{count_}).data();
  if (leaf()) value_ends_ = in.raw(4 * size_t{count_}).data();
  if (!in.ok()) return "shorter than its tables";
  const ByteView rest = in.rest();
  const uint32_t suffix_bytes = end_at(key_ends_, count_ - 1u);
  if (suffix_bytes > rest.size()) return "shorter than its keys";
  const size_t payload_bytes = leaf() ? end_at(value_ends_, count_ - 1u) : kChildBytes * count_;
  if (payload_bytes != rest.size() - suffix_bytes) return "length does not match its tables";
  suffixes_ = rest.data();
  payloads_ = rest.data() + suffix_bytes;
  if (const char* problem = parse_keys()) return problem;
  return parse_items();
}

const char* Node::parse_keys() const {
  uint32_t begin = 0;
  for (size_t i = 0; i < count_; ++i) {
    const uint32_t end = end_at(key_ends_, i);
    // The last end is within the bytes, so an order that never falls keeps every end there.
    if (end < begin || (i + 1 < count_ && end > end_at(key_ends_, count_ - 1u))) return "key ends out of order";
    const size_t key_bytes = prefix_bytes_ + size_t{end - begin};
    if (key_bytes == 0 || key_bytes > kKeyBytesMax) return "key length beyond the limit";
    begin = end;
  }
  for (size_t i = 1; i < count_; ++i) {
    if (suffix(i - 1) >= suffix(i)) return "keys out of order";
  }
  // Keys ascend, so the first and the last share what all share.
  if (common_prefix(suffix(0), suffix(count_ - 1u)) != 0) return "prefix is not the longest";
  return nullptr;
}

const char* Node::parse_items() const {
  Totals sum;
  uint32_t begin = 0;
  const uint64_t child_keys_max = leaf() ? 1 : keys_max(level_ - 1u);
  for (size_t i = 0; i < count_; ++i) {
    if (leaf()) {
      const uint32_t end = end_at(value_ends_, i);
      if (end <= begin || end > end_at(value_ends_, count_ - 1u)) return "value ends out of order";
      Decoder value({payloads_ + begin, end - begin});
      value.varint();
      if (!value.ok()) return "weight is not a shortest varint";
      if (value.rest().size() > kValueBytesMax) return "value beyond the limit";
      begin = end;
    } else if (child(i).is_zero()) {
      return "child without an id";
    }
    const Totals item = item_totals(i);
    if (item.keys == 0 || item.keys > child_keys_max) return "impossible number of keys below";
    if (!add(sum, item)) return "totals pass 2^64";
  }
  return sum == totals_ ? nullptr : "totals are not the sums";
}

size_t Node::memory() const { return raw_->capacity() + sizeof(Bytes) + sizeof(Node) + 2 * 32; }

Node::LeafItem Node::leaf_item(size_t i) const {
  Decoder in(leaf_payload(i));
  const uint64_t weight = in.varint();
  return {in.rest(), weight};
}

ByteView Node::body(size_t i) const { return leaf() ? leaf_item(i).value : ByteView(payloads_ + kChildBytes * i, 32); }

Totals Node::item_totals(size_t i) const {
  if (leaf()) return {1, leaf_item(i).weight};
  const char* child = payloads_ + kChildBytes * i;
  return {load_u64(child + 32), load_u64(child + 40)};
}

Node::Place Node::search(ByteView key) const {
  const ByteView shared = prefix();
  const int order = key.substr(0, shared.size()).compare(shared);  // a key that ends within the prefix is less
  if (order != 0) return {order < 0 ? size_t{0} : size_t{count_}, false};
  key.remove_prefix(shared.size());
  // Most comparisons are decided by eight bytes, without a call.
  const uint64_t key_head = head(key);
  size_t low = 0, high = count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const ByteView at = suffix(middle);
    const uint64_t at_head = head_before(end_, at);
    int c = at_head < key_head ? -1 : 1;
    if (at_head == key_head && (c = at.compare(key)) == 0) return {middle, true};
    if (c < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, false};
}

Result<Bytes> encode_node(unsigned level, std::span<const ItemView> items) {
  CHECK(level <= kLevelMax && !items.empty() && items.size() <= kShapes.at(level).max);
  const size_t prefix = common_prefix(items.front().key, items.back().key);
  Totals totals;
  size_t bytes = kNodeHeaderBytes + prefix;
  for (const ItemView& item : items) {
    if (!add(totals, item.totals)) return fail(Code::Invalid, "tree: the weights' sum passes 2^64");
    bytes += item.key.size() - prefix + 4 +
             (level == 0 ? item.body.size() + 4 + varint_bytes(item.totals.weight) : kChildBytes);
  }
  Bytes out;
  out.reserve(bytes);
  Encoder e(out);
  e.u32(kMagic);
  e.u8(kVersion);
  e.u8(static_cast<uint8_t>(level));
  e.u16(static_cast<uint16_t>(items.size()));
  e.u16(static_cast<uint16_t>(prefix));
  e.u64(totals.keys);
  e.u64(totals.weight);
  e.raw(items.front().key.substr(0, prefix));
  uint32_t end = 0;
  for (const ItemView& item : items) {
    CHECK(!item.key.empty() && item.key.size() <= kKeyBytesMax);
    e.u32(end += static_cast<uint32_t>(item.key.size() - prefix));
  }
  if (level == 0) {
    end = 0;
    for (const ItemView& item : items) {
      CHECK(item.body.size() <= kValueBytesMax);
      e.u32(end += static_cast<uint32_t>(varint_bytes(item.totals.weight) + item.body.size()));
    }
  }
  for (const ItemView& item : items) e.raw(item.key.substr(prefix));
  for (const ItemView& item : items) {
    if (level == 0) {
      e.varint(item.totals.weight);
      e.raw(item.body);
    } else {
      CHECK(item.body.size() == 32);
      e.raw(item.body);
      e.u64(item.totals.keys);
      e.u64(item.totals.weight);
    }
  }
  CHECK(out.size() == bytes);
  return out;
}

}  // namespace hailstone::tree
