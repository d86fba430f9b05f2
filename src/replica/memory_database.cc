#include <map>
#include <mutex>
#include <utility>

#include "replica/database.h"

namespace hailstone::replica {
namespace {

using Map = std::map<Bytes, Bytes, std::less<>>;

/// One state of the map. Writers change it in place while nobody else uses it, and leave it behind otherwise.
struct Version {
  Map map;
  uint64_t users = 0;  // snapshots and iterators; guarded by the database's mutex
};

/// Shared by the database and everything that reads from it, so that a reader may outlive a write.
struct Store {
  std::mutex mutex;  // readers are on other threads than the writer
  std::shared_ptr<Version> current = std::make_shared<Version>();
  Map staged;
};

void change(Map& map, const Batch& batch) {
  for (const auto& op : batch.ops()) {
    switch (op.kind) {
      case Batch::Op::Kind::Put: map[op.key] = op.value; break;
      case Batch::Op::Kind::Erase: map.erase(op.key); break;
      case Batch::Op::Kind::EraseRange:
        if (op.key < op.value) map.erase(map.lower_bound(op.key), map.lower_bound(op.value));
        break;
    }
  }
}

/// A version that no writer will touch while this lives.
class Pinned {
 public:
  explicit Pinned(std::shared_ptr<Store> store) : store_(std::move(store)) {
    const std::lock_guard hold(store_->mutex);
    version_ = store_->current;
    ++version_->users;
  }
  Pinned(const Pinned& other) : store_(other.store_), version_(other.version_) {
    const std::lock_guard hold(store_->mutex);
    ++version_->users;
  }
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() {
    const std::lock_guard hold(store_->mutex);
    --version_->users;
  }
  const Map& map() const { return version_->map; }

 private:
  std::shared_ptr<Store> store_;
  std::shared_ptr<Version> version_;
};

class MemoryIterator final : public Iterator {
 public:
  MemoryIterator(Pinned pinned, ByteView begin, ByteView end) : pinned_(std::move(pinned)), begin_(begin), end_(end) {
    seek(begin_);
  }
  void seek(ByteView key) override { at_ = pinned_.map().lower_bound(std::max<ByteView>(key, begin_)); }
  void next() override { ++at_; }
  bool valid() const override { return at_ != pinned_.map().end() && at_->first < end_; }
  ByteView key() const override { return at_->first; }
  ByteView value() const override { return at_->second; }
  Result<void> status() const override { return {}; }

 private:
  const Pinned pinned_;
  const Bytes begin_;
  const Bytes end_;
  Map::const_iterator at_;
};

std::optional<Bytes> find(const Map& map, ByteView key) {
  const auto found = map.find(key);
  return found == map.end() ? std::nullopt : std::optional(found->second);
}

class MemorySnapshot final : public Reader {
 public:
  explicit MemorySnapshot(Pinned pinned) : pinned_(std::move(pinned)) {}
  Result<std::optional<Bytes>> get(ByteView key) const override { return find(pinned_.map(), key); }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return std::make_unique<MemoryIterator>(pinned_, begin, end);
  }

 private:
  const Pinned pinned_;
};

class MemoryDatabase final : public Database {
 public:
  Result<std::optional<Bytes>> get(ByteView key) const override {
    const std::lock_guard hold(store_->mutex);
    return find(store_->current->map, key);
  }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return std::make_unique<MemoryIterator>(Pinned(store_), begin, end);
  }
  std::unique_ptr<Reader> snapshot() const override { return std::make_unique<MemorySnapshot>(Pinned(store_)); }

  Result<void> write(const Batch& batch) override {
    const std::lock_guard hold(store_->mutex);
    if (store_->current->users > 0) {
      auto copy = std::make_shared<Version>();
      copy->map = store_->current->map;
      store_->current = std::move(copy);
    }
    change(store_->current->map, batch);
    return {};
  }
  Result<void> stage(const Batch& batch) override {
    const std::lock_guard hold(store_->mutex);
    change(store_->staged, batch);
    return {};
  }
  Result<std::optional<Bytes>> staged(ByteView key) const override {
    const std::lock_guard hold(store_->mutex);
    return find(store_->staged, key);
  }
  Result<void> discard_staged() override {
    const std::lock_guard hold(store_->mutex);
    store_->staged.clear();
    return {};
  }
  Result<void> adopt_staged() override {
    const std::lock_guard hold(store_->mutex);
    store_->current = std::make_shared<Version>();
    store_->current->map.swap(store_->staged);
    return {};
  }
  Result<void> flush() override { return {}; }
  uint64_t unflushed_bytes() const override { return 0; }
  bool survives_restart() const override { return false; }

 private:
  const std::shared_ptr<Store> store_ = std::make_shared<Store>();
};

}  // namespace

std::unique_ptr<Database> make_memory_database() { return std::make_unique<MemoryDatabase>(); }

}  // namespace hailstone::replica
