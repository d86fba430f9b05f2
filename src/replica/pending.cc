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

void Pending::add(Batch batch) {
  for (Batch::Op& op : batch.take()) {
    bytes_ += op.key.size() + op.value.size();
    if (op.kind == Batch::Op::Kind::EraseRange)
      ranges_ = true;
    else
      changed_.emplace(xxh3(op.key), batch_.ops().size());
    batch_.add(std::move(op));
  }
}

Batch& Pending::batch() {
  if (!ranges_) {
    std::vector<Batch::Op> ops = batch_.take();
    std::ranges::stable_sort(ops, {}, &Batch::Op::key);
    for (Batch::Op& op : ops) batch_.add(std::move(op));
    changed_.clear();  // the places of the changes are others now: clear() follows
  }
  return batch_;
}

void Pending::clear() {
  batch_.clear();
  changed_.clear();
  bytes_ = 0;
  ranges_ = false;
}

Result<std::optional<Bytes>> Pending::get(ByteView key) const {
  const Batch::Op* last = nullptr;
  const auto [first, end] = changed_.equal_range(xxh3(key));
  for (auto at = first; at != end; ++at)
    if (const Batch::Op& op = batch_.ops()[at->second]; op.key == key && (!last || &op > last)) last = &op;
  if (ranges_)
    for (const Batch::Op& op : batch_.ops())
      if (op.kind == Batch::Op::Kind::EraseRange && op.key <= key && key < op.value && (!last || &op > last))
        last = &op;
  if (!last) return database_.get(key);
  if (last->kind != Batch::Op::Kind::Put) return std::nullopt;
  return last->value;
}

std::unique_ptr<Iterator> Pending::iterate(ByteView begin, ByteView end) const {
  if (!batch_.empty())
    if (auto written = write_(); !written) return std::make_unique<FailedIterator>(std::move(written).error());
  return database_.iterate(begin, end);
}

}  // namespace hailstone::replica
