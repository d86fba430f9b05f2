#include "cell/overlay.h"

#include <algorithm>

namespace hailstone::cell {

/// Two sorted runs read as one. A change hides what is under it.
class Merged final : public replica::Iterator {
 public:
  Merged(const Overlay& overlay, ByteView begin, ByteView end)
      : overlay_(overlay),
        under_(overlay.under_.iterate(begin, end)),
        changes_(overlay.changes_),
        begin_(begin),
        end_(end),
        at_(changes_.lower_bound(begin)) {
    settle();
  }

  void seek(ByteView key) override {
    const ByteView from = std::max<ByteView>(key, begin_);
    at_ = changes_.lower_bound(from);
    under_->seek(from);
    settle();
  }
  void next() override {
    if (changed_)
      step_over(at_->first);
    else
      under_->next();
    settle();
  }
  bool valid() const override { return under_->status().has_value() && (changed_ || under_->valid()); }
  ByteView key() const override { return changed_ ? ByteView(at_->first) : under_->key(); }
  ByteView value() const override { return changed_ ? ByteView(*at_->second) : under_->value(); }
  Result<void> status() const override { return under_->status(); }

 private:
  bool change_left() const { return at_ != changes_.end() && at_->first < end_; }
  void step_over(ByteView key) {
    if (under_->valid() && under_->key() == key) under_->next();
    ++at_;
  }
  /// At the smaller key of both, past what is erased; `changed_` says on which side.
  void settle() {
    for (;;) {
      if (!under_->valid() && !overlay_.failure_)
        if (const auto status = under_->status(); !status) overlay_.failure_ = status.error();
      changed_ = change_left() && (!under_->valid() || at_->first <= under_->key());
      if (!changed_ || at_->second) return;
      step_over(at_->first);
    }
  }

  const Overlay& overlay_;
  const std::unique_ptr<replica::Iterator> under_;
  const Overlay::Changes& changes_;
  const Bytes begin_;
  const Bytes end_;
  Overlay::Changes::const_iterator at_;
  bool changed_ = false;
};

Result<std::optional<Bytes>> Overlay::get(ByteView key) const {
  const auto found = changes_.find(key);
  if (found != changes_.end()) return found->second;
  auto value = under_.get(key);
  if (!value && !failure_) failure_ = value.error();
  return value;
}

std::unique_ptr<replica::Iterator> Overlay::iterate(ByteView begin, ByteView end) const {
  return std::make_unique<Merged>(*this, begin, end);
}

void Overlay::move_to(replica::Batch& out) {
  out.reserve(changes_.size());
  while (!changes_.empty()) {
    auto change = changes_.extract(changes_.begin());
    if (change.mapped())
      out.put(std::move(change.key()), *std::move(change.mapped()));
    else
      out.erase(std::move(change.key()));
  }
}

}  // namespace hailstone::cell
