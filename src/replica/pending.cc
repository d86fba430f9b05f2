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

const std::optional<Bytes>* ReadCache::find(ByteView key) {
  if (const auto found = recent_.find(key); found != recent_.end()) return &found->second;
  const auto found = older_.find(key);
  if (found == older_.end()) return nullptr;
  put(key, std::move(found->second));
  const auto moved = recent_.find(key);
  return moved == recent_.end() ? nullptr : &moved->second;
}

void ReadCache::put(ByteView key, std::optional<Bytes> value) {
  constexpr size_t kEntryBytes = 100;  // of a map's node
  const size_t bytes = value ? value->size() : 0;
  if (bytes + key.size() > bytes_max_ / 64) {  // few large ones must not drive out the many small ones
    if (const auto found = recent_.find(key); found != recent_.end()) recent_.erase(found);
    if (const auto found = older_.find(key); found != older_.end()) older_.erase(found);
    return;
  }
  if (const auto found = recent_.find(key); found != recent_.end()) {
    recent_bytes_ += bytes;
    recent_bytes_ -= found->second ? found->second->size() : 0;
    found->second = std::move(value);
    if (recent_bytes_ > bytes_max_ / 2) {
      older_ = std::exchange(recent_, {});
      recent_bytes_ = 0;
    }
    return;
  }
  if ((recent_bytes_ += key.size() + bytes + kEntryBytes) > bytes_max_ / 2) {
    older_ = std::exchange(recent_, {});
    recent_bytes_ = key.size() + bytes + kEntryBytes;
  }
  if (const auto found = older_.find(key); found != older_.end()) {
    auto node = older_.extract(found);
    node.mapped() = std::move(value);
    recent_.insert(std::move(node));
    return;
  }
  recent_.emplace(Bytes(key), std::move(value));
}

void ReadCache::clear() {
  recent_.clear();
  older_.clear();
  recent_bytes_ = 0;
}

// ---- Pending ----

Batch::Op* Pending::pending(ByteView key, uint64_t hash) const {
  Batch::Op* last = nullptr;
  const auto [first, end] = changed_.equal_range(hash);
  for (auto at = first; at != end; ++at) {
    auto& op = const_cast<Batch::Op&>(ops_[at->second]);
    if (op.key == key && (!last || &op > last)) last = &op;
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
    cache_.put(op.key, op.kind == Batch::Op::Kind::Put ? std::optional(op.value) : std::nullopt);
    const uint64_t hash = xxh3(op.key);
    if (Batch::Op* const before = ranges_ ? nullptr : pending(op.key, hash)) {
      *before = std::move(op);  // only the last of a key is ever seen
      continue;
    }
    changed_.emplace(hash, ops_.size());
    ops_.push_back(std::move(op));
  }
}

Batch& Pending::batch() {
  if (!ranges_) std::ranges::stable_sort(ops_, {}, &Batch::Op::key);
  for (Batch::Op& op : ops_) batch_.add(std::move(op));
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
  if (const auto* known = cache_.find(key)) return *known;
  const Batch::Op* last = pending(key, xxh3(key));
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
  cache_.put(key, value);
  return value;
}

std::unique_ptr<Iterator> Pending::iterate(ByteView begin, ByteView end) const {
  if (!ops_.empty())
    if (auto written = write_(); !written) return std::make_unique<FailedIterator>(std::move(written).error());
  return database_.iterate(begin, end);
}

}  // namespace hailstone::replica
