#include "replica/joined_reader.h"

namespace hailstone::replica {
namespace {

class JoinedIterator final : public Iterator {
 public:
  explicit JoinedIterator(std::vector<std::unique_ptr<Iterator>> parts) : parts_(std::move(parts)) { choose(); }

  void seek(ByteView key) override {
    for (auto& part : parts_) part->seek(key);
    choose();
  }
  void next() override {
    const Bytes passed(current_->key());
    for (auto& part : parts_)
      if (part->valid() && part->key() == passed) part->next();
    choose();
  }
  bool valid() const override { return current_ != nullptr; }
  ByteView key() const override { return current_->key(); }
  ByteView value() const override { return current_->value(); }
  Result<void> status() const override {
    for (const auto& part : parts_)
      if (!part->valid()) TRY_DO(part->status());
    return {};
  }

 private:
  // A part that stopped for an error must not be taken for one that has no more: then nothing is valid.
  void choose() {
    current_ = nullptr;
    for (const auto& part : parts_) {
      if (!part->valid()) {
        if (part->status()) continue;
        current_ = nullptr;
        return;
      }
      if (!current_ || part->key() < current_->key()) current_ = part.get();
    }
  }

  std::vector<std::unique_ptr<Iterator>> parts_;
  Iterator* current_ = nullptr;
};

class JoinedReader final : public Reader {
 public:
  explicit JoinedReader(std::vector<std::unique_ptr<Reader>> parts) : parts_(std::move(parts)) {}

  Result<std::optional<Bytes>> get(ByteView key) const override {
    for (const auto& part : parts_) {
      TRY(auto found, part->get(key));
      if (found) return found;
    }
    return std::optional<Bytes>();
  }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    std::vector<std::unique_ptr<Iterator>> parts;
    for (const auto& part : parts_) parts.push_back(part->iterate(begin, end));
    return std::make_unique<JoinedIterator>(std::move(parts));
  }

 private:
  const std::vector<std::unique_ptr<Reader>> parts_;
};

}  // namespace

std::unique_ptr<Reader> join_readers(std::vector<std::unique_ptr<Reader>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<JoinedReader>(std::move(parts));
}

}  // namespace hailstone::replica
