#include "tree/splitter.h"

#include <algorithm>

namespace hailstone::tree {

Result<std::optional<Splitter::Built>> Splitter::push(const ItemView& item) {
  std::optional<Built> out;
  const uint64_t hash = boundary_hash(level_, item.key);
  if (cuts_before(hash)) {
    TRY(out, cut());
  }
  items_.push_back({bytes_.size(), static_cast<uint32_t>(item.key.size()), static_cast<uint32_t>(item.body.size()),
                    item.totals, hash});
  bytes_.append(item.key).append(item.body);
  if (items_.size() <= shape_.max) return out;
  // Rule 3: no candidate among these.
  const auto first = items_.begin() + static_cast<ptrdiff_t>(shape_.forced_min());
  const auto start =
      std::min_element(first, items_.end(), [](const Pending& a, const Pending& b) { return a.hash < b.hash; });
  const auto count = static_cast<size_t>(start - items_.begin());
  TRY(out, build(count));
  const size_t cut_bytes = start->offset;
  items_.erase(items_.begin(), start);
  bytes_.erase(0, cut_bytes);
  for (Pending& rest : items_) rest.offset -= cut_bytes;
  return out;
}

Result<std::optional<Splitter::Built>> Splitter::cut() {
  if (items_.empty()) return std::nullopt;
  TRY(Built built, build(items_.size()));
  drop();
  return built;
}

void Splitter::drop() {
  items_.clear();
  bytes_.clear();
}

Result<Splitter::Built> Splitter::build(size_t count) {
  views_.clear();
  Totals sum;
  for (size_t i = 0; i < count; ++i) {
    const Pending& item = items_[i];
    views_.push_back({key(item), ByteView(bytes_).substr(item.offset + item.key_bytes, item.body_bytes), item.totals});
    sum.keys += item.totals.keys;
    sum.weight += item.totals.weight;  // encode_node refuses an overflow
  }
  TRY(Bytes encoded, encode_node(level_, views_));
  return Built{Bytes(first_key()), std::move(encoded), sum};
}

}  // namespace hailstone::tree
