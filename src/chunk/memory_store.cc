#include <fmt/core.h>

#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "chunk/epochs.h"
#include "chunk/index.h"
#include "chunk/store.h"

namespace hailstone::chunk {
namespace {

/// Ordered, so that list() is a range scan. The mutex is there because the interface is thread-safe.
class MemoryStore final : public ChunkStore {
 public:
  Result<ChunkId> put(ByteView bytes, Compress) override {
    if (bytes.empty() || bytes.size() > kChunkBytesMax)
      return fail(Code::Invalid, fmt::format("chunk of {} bytes: 1..{} allowed", bytes.size(), kChunkBytesMax));
    const ChunkId id(sha256(bytes));
    std::unique_lock lock(mutex_);
    auto [it, inserted] = chunks_.try_emplace(id);
    if (inserted) {
      it->second = {std::make_shared<const Bytes>(bytes), ++puts_};
      order_.emplace(puts_, id);
      total_bytes_ += bytes.size();
    } else {
      epochs_.touched(prefix_of(id));
    }
    return id;
  }

  Result<void> sync() override { return {}; }

  Result<SharedBytes> get(const ChunkId& id) override {
    std::shared_lock lock(mutex_);
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return absent(id);
    return it->second.bytes;
  }

  Result<Stat> stat(const ChunkId& id) override {
    std::shared_lock lock(mutex_);
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return absent(id);
    const auto size = static_cast<uint32_t>(it->second.bytes->size());
    return Stat{.bytes = size, .stored_bytes = size, .zstd = false};
  }

  Result<Extent> extent(const ChunkId& id, Form, uint64_t, uint64_t) override {
    std::shared_lock lock(mutex_);
    if (!chunks_.contains(id)) return absent(id);
    return fail(Code::Unsupported, fmt::format("chunk {}: held in memory, has no extent", id.brief()));
  }

  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override {
    std::shared_lock lock(mutex_);
    std::vector<bool> out;
    out.reserve(ids.size());
    for (const ChunkId& id : ids) out.push_back(chunks_.contains(id));
    return out;
  }

  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override {
    std::unique_lock lock(mutex_);
    std::vector<bool> out;
    out.reserve(ids.size());
    for (const ChunkId& id : ids) {
      out.push_back(chunks_.contains(id));
      if (out.back()) epochs_.touched(prefix_of(id));
    }
    return out;
  }

  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override {
    std::shared_lock lock(mutex_);
    std::vector<ChunkId> out;
    for (auto it = chunks_.upper_bound(after); it != chunks_.end() && out.size() < limit; ++it)
      out.push_back(it->first);
    return out;
  }

  Result<void> erase(std::span<const ChunkId> ids) override {
    std::unique_lock lock(mutex_);
    for (const ChunkId& id : ids) {
      const auto it = chunks_.find(id);
      if (it != chunks_.end()) erase_locked(it);
    }
    return {};
  }

  std::unique_ptr<WriteSession> begin_writes() override { return epochs_.begin_session(); }
  Result<CollectionToken> begin_collection() override {
    std::unique_lock lock(mutex_);
    return epochs_.begin_collection([&]() -> Result<Position> { return after(puts_); });
  }
  void end_collection(const CollectionToken& token) override { epochs_.end_collection(token); }
  Result<std::vector<bool>> collect(const CollectionToken& token, std::span<const ChunkId> ids) override {
    std::unique_lock lock(mutex_);
    TRY_DO(epochs_.check(token));
    std::vector<bool> out;
    out.reserve(ids.size());
    for (const ChunkId& id : ids) {
      const auto it = chunks_.find(id);
      const bool goes = it == chunks_.end() || !epochs_.protects(token, prefix_of(id), after(it->second.put - 1));
      if (goes && it != chunks_.end()) erase_locked(it);
      out.push_back(goes);
    }
    return out;
  }

  Result<Added> added_since(const Position& from) override {
    std::shared_lock lock(mutex_);
    Added out{.ids = {}, .next = std::max(from, after(0)), .more = false};
    for (auto it = order_.lower_bound(from.offset); it != order_.end() && !out.more; ++it) {
      out.ids.push_back(it->second);
      out.next = after(it->first);
      out.more = out.ids.size() >= kAddedMax && std::next(it) != order_.end();
    }
    return out;
  }

  Stats stats() const override {
    std::shared_lock lock(mutex_);
    return Stats{.chunks = chunks_.size(), .stored_bytes = total_bytes_, .uncompressed_bytes = total_bytes_};
  }

 private:
  struct Held {
    SharedBytes bytes;
    uint64_t put = 0;  // its number among the puts
  };
  using Chunks = std::map<ChunkId, Held>;
  static constexpr size_t kAddedMax = 1000;

  /// Where the put after number `puts` goes.
  static Position after(uint64_t puts) { return {.segment = 1, .offset = puts + 1}; }
  void erase_locked(Chunks::iterator it) {
    total_bytes_ -= it->second.bytes->size();
    order_.erase(it->second.put);
    chunks_.erase(it);
  }
  static std::unexpected<Error> absent(const ChunkId& id) {
    return fail(Code::NotFound, fmt::format("chunk {}: not in this store", id.brief()));
  }

  mutable std::shared_mutex mutex_;
  Chunks chunks_;
  std::map<uint64_t, ChunkId> order_;  // by number of the put
  uint64_t puts_ = 0;
  uint64_t total_bytes_ = 0;
  Epochs epochs_{after(0), kTouchedIdsMax};
};

}  // namespace

std::unique_ptr<ChunkStore> make_memory_store() { return std::make_unique<MemoryStore>(); }

}  // namespace hailstone::chunk
