#include "replica/pending.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace hailstone::replica {
namespace {

class FailedIterator final : public Iterator {
 public:
  explicit FailedIterator(Error error) : error_(std::move(error)) {}
  void seek(ByteView) override {}
  void next() override {}
  bool valid() const override { return false; }
  ByteView key() const override { return {}; }
  ByteView value() const override { return {}; }
  Result<void> status() const override { return std::unexpected(error_); }

 private:
  const Error error_;
};

}  // namespace

// ---- ReadCache ----

const std::optional<Bytes>* ReadCache::find(Hashed key) {
  if (const auto found = recent_.find(key); found != recent_.end()) return &found->second;
  const auto found = older_.find(key);
  if (found == older_.end()) return nullptr;
  put(key, std::move(found->second));
  const auto moved = recent_.find(key);
  return moved == recent_.end() ? nullptr : &moved->second;
}

void ReadCache::put(Hashed key, std::optional<Bytes> value) {
  constexpr size_t kEntryBytes = 100;  // of a map's node
  const size_t bytes = key.bytes.size() + (value ? value->size() : 0);
  if (is_large(key, value ? value->size() : 0)) return;  // few large ones must not drive out the many small ones
  if ((recent_bytes_ += bytes + kEntryBytes) > bytes_max_ / 2) {
    older_ = std::exchange(recent_, {});
    recent_bytes_ = bytes + kEntryBytes;
  }
  if (const auto found = older_.find(key); found != older_.end()) {
    auto node = older_.extract(found);
    node.mapped() = std::move(value);
    recent_.insert(std::move(node));
    return;
  }
  recent_.emplace(Bytes(key.bytes), std::move(value));
}

void ReadCache::changed(Hashed key, const Bytes* value) {
  const size_t bytes = value ? value->size() : 0;
  if (const auto found = recent_.find(key); found != recent_.end()) {
    if (is_large(key, bytes)) {
      recent_.erase(found);
      return;
    }
    recent_bytes_ += bytes;
    recent_bytes_ -= found->second ? found->second->size() : 0;
    if (!value)
      found->second.reset();
    else if (found->second)
      *found->second = *value;
    else
      found->second = *value;
    if (recent_bytes_ > bytes_max_ / 2) {
      older_ = std::exchange(recent_, {});
      recent_bytes_ = 0;
    }
    return;
  }
  const auto found = older_.find(key);
  if (found == older_.end()) return;
  if (is_large(key, bytes))
    older_.erase(found);
  else
    put(key, value ? std::optional(*value) : std::nullopt);
}

void ReadCache::clear() {
  recent_.clear();
  older_.clear();
  recent_bytes_ = 0;
}

// ---- Pending ----

Batch::Op* Pending::pending(ReadCache::Hashed key) const {
  Batch::Op* last = nullptr;
  const auto [first, end] = changed_.equal_range(key.hash);
  for (auto at = first; at != end; ++at) {
    auto& op = const_cast<Batch::Op&>(ops_[at->second]);
    if (op.key == key.bytes && (!last || &op > last)) last = &op;
  }
  return last;
}

void Pending::add(Batch batch) {
  for (Batch::Op& op : batch.take()) {
    bytes_ += op.key.size() + op.value.size();
    if (op.kind == Batch::Op::Kind::EraseRange) {
      ranges_ = true;
      cache_.clear();
      ops_.push_back(std::move(op));
      continue;
    }
    const ReadCache::Hashed key(op.key);
    cache_.changed(key, op.kind == Batch::Op::Kind::Put ? &op.value : nullptr);
    if (Batch::Op* const before = ranges_ ? nullptr : pending(key)) {
      *before = std::move(op);  // only the last of a key is ever seen
      continue;
    }
    changed_.emplace(key.hash, ops_.size());
    ops_.push_back(std::move(op));
  }
}

Batch& Pending::batch() {
  std::vector<Batch::Op*> order;
  order.reserve(ops_.size());
  for (Batch::Op& op : ops_) order.push_back(&op);
  if (!ranges_) std::ranges::sort(order, {}, [](const Batch::Op* op) -> const Bytes& { return op->key; });
  batch_.reserve(order.size() + 1);
  for (Batch::Op* const op : order) batch_.add(std::move(*op));
  ops_.clear();  // clear() follows
  changed_.clear();
  return batch_;
}

void Pending::clear() {
  ops_.clear();
  batch_.clear();
  changed_.clear();
  bytes_ = 0;
  ranges_ = false;
}

Result<std::optional<Bytes>> Pending::get(ByteView key) const {
  const ReadCache::Hashed hashed(key);
  if (const auto* known = cache_.find(hashed)) return *known;
  const Batch::Op* last = pending(hashed);
  if (ranges_)
    for (const Batch::Op& op : ops_)
      if (op.kind == Batch::Op::Kind::EraseRange && op.key <= key && key < op.value && (!last || &op > last))
        last = &op;
  std::optional<Bytes> value;
  if (last) {
    if (last->kind == Batch::Op::Kind::Put) value = last->value;
  } else {
    TRY(value, database_.get(key));
  }
  cache_.put(hashed, value);
  return value;
}

std::unique_ptr<Iterator> Pending::iterate(ByteView begin, ByteView end) const {
  if (!ops_.empty())
    if (auto written = write_(); !written) return std::make_unique<FailedIterator>(std::move(written).error());
  return database_.iterate(begin, end);
}

}  // namespace hailstone::replica
