#include <fmt/core.h>

#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

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
      it->second = std::make_shared<const Bytes>(bytes);
      total_bytes_ += bytes.size();
    }
    return id;
  }

  Result<void> sync() override { return {}; }

  Result<SharedBytes> get(const ChunkId& id) override {
    std::shared_lock lock(mutex_);
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return absent(id);
    return it->second;
  }

  Result<Stat> stat(const ChunkId& id) override {
    std::shared_lock lock(mutex_);
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return absent(id);
    const auto size = static_cast<uint32_t>(it->second->size());
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

  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return has(ids); }

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
      if (it == chunks_.end()) continue;
      total_bytes_ -= it->second->size();
      chunks_.erase(it);
    }
    return {};
  }

  Stats stats() const override {
    std::shared_lock lock(mutex_);
    return Stats{.chunks = chunks_.size(), .stored_bytes = total_bytes_, .uncompressed_bytes = total_bytes_};
  }

 private:
  static std::unexpected<Error> absent(const ChunkId& id) {
    return fail(Code::NotFound, fmt::format("chunk {}: not in this store", id.brief()));
  }

  mutable std::shared_mutex mutex_;
  std::map<ChunkId, SharedBytes> chunks_;
  uint64_t total_bytes_ = 0;
};

}  // namespace

std::unique_ptr<ChunkStore> make_memory_store() { return std::make_unique<MemoryStore>(); }

}  // namespace hailstone::chunk
