#include "tree/cache.h"

#include <fmt/format.h>

#include <bit>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "tree/node.h"

namespace hailstone::tree {
namespace {

constexpr size_t kSlotBytes = 72;  // a slot and its part of the index: counted with each node

/// One shard: nodes in slots that the CLOCK hand goes round, and an open-addressed index of slot numbers by id.
class Shard {
 public:
  explicit Shard(uint64_t bytes_max) : bytes_max_(bytes_max), index_(kIndexMin, kNone) {}

  NodePtr find(const ChunkId& id) {
    const std::lock_guard lock(mutex_);
    const uint32_t slot = index_[probe(id)];
    if (slot == kNone) {
      ++misses_;
      return nullptr;
    }
    ++hits_;
    slots_[slot].used = true;
    return slots_[slot].node;
  }

  /// Keeps `node` if it fits. When it is there already (two misses at once), the one that is there stays.
  void insert(const ChunkId& id, NodePtr node) {
    const uint64_t bytes = node->memory() + kSlotBytes;
    if (bytes > bytes_max_) return;
    std::vector<NodePtr> evicted;  // freed after the lock
    const std::lock_guard lock(mutex_);
    if (index_[probe(id)] != kNone) return;
    while (bytes_ + bytes > bytes_max_) evicted.push_back(evict_one());
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = {id, std::move(node), static_cast<uint32_t>(bytes), false};
    bytes_ += bytes;
    if (++count_ * 2 > index_.size()) {
      grow_index();
    } else {
      index_[probe(id)] = slot;
    }
  }

  void add_to(CachedNodes::Stats& stats) const {
    const std::lock_guard lock(mutex_);
    stats.hits += hits_;
    stats.misses += misses_;
    stats.bytes += bytes_;
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kIndexMin = 64;
  struct alignas(64) Slot {  // one cache line
    ChunkId id;
    NodePtr node;  // null: free
    uint32_t bytes = 0;
    bool used = false;  // since the hand came by
  };

  /// The index place of `id`, or the empty one where it belongs. The id's first bytes choose the shard, so others here.
  size_t home(const ChunkId& id) const {
    uint64_t hash;
    std::memcpy(&hash, id.bytes.data() + 8, sizeof hash);
    return hash & (index_.size() - 1);
  }
  size_t probe(const ChunkId& id) const {
    size_t place = home(id);
    while (index_[place] != kNone && slots_[index_[place]].id != id) place = (place + 1) & (index_.size() - 1);
    return place;
  }

  /// Something is cached, else bytes_ would be 0 and everything would fit.
  NodePtr evict_one() {
    for (;;) {
      hand_ = hand_ + 1 < slots_.size() ? hand_ + 1 : 0;
      Slot& slot = slots_[hand_];
      if (slot.node == nullptr) continue;
      if (!std::exchange(slot.used, false)) break;
    }
    Slot& slot = slots_[hand_];
    remove_from_index(probe(slot.id));
    bytes_ -= slot.bytes;
    --count_;
    free_.push_back(static_cast<uint32_t>(hand_));
    return std::exchange(slot.node, nullptr);
  }

  /// Linear probing without tombstones: moves back whatever the hole would cut off from its home.
  void remove_from_index(size_t hole) {
    const size_t mask = index_.size() - 1;
    for (size_t place = (hole + 1) & mask; index_[place] != kNone; place = (place + 1) & mask) {
      const size_t distance = (place - home(slots_[index_[place]].id)) & mask;
      if (distance >= ((place - hole) & mask)) {
        index_[hole] = index_[place];
        hole = place;
      }
    }
    index_[hole] = kNone;
  }

  void grow_index() {
    index_.assign(index_.size() * 2, kNone);
    for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot].node != nullptr) index_[probe(slots_[slot].id)] = slot;
    }
  }

  // Nodes are shared by all serving threads, for one copy of each in memory; a hit holds the lock for one probe and one
  // reference count, and shards keep threads apart.
  mutable std::mutex mutex_;
  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
  size_t hand_ = 0;
  std::vector<uint32_t> index_;  // power of two, at most half full
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace

struct CachedNodes::State {
  chunk::ChunkStore& chunks;
  std::vector<std::unique_ptr<Shard>> shards;

  Shard& shard_of(const ChunkId& id) {
    uint32_t hash;
    std::memcpy(&hash, id.bytes.data(), sizeof hash);
    return *shards[hash & (shards.size() - 1)];
  }
};

CachedNodes::CachedNodes(chunk::ChunkStore& chunks, const CacheOptions& options)
    : state_(std::make_unique<State>(chunks)) {
  CHECK(std::has_single_bit(options.shards));
  for (uint32_t i = 0; i < options.shards; ++i) {
    state_->shards.push_back(std::make_unique<Shard>(options.bytes_max / options.shards));
  }
}

CachedNodes::~CachedNodes() = default;

Result<NodePtr> CachedNodes::load(const ChunkId& id) {
  Shard& shard = state_->shard_of(id);
  if (NodePtr node = shard.find(id)) return node;
  TRY(chunk::SharedBytes bytes, state_->chunks.fetch(id));
  TRY(NodePtr node, Node::decode(id, std::move(bytes)));
  shard.insert(id, node);
  return node;
}

Result<ChunkId> CachedNodes::save(Bytes encoded) {
  TRY(const ChunkId id, state_->chunks.put(encoded, chunk::Compress::Auto));
  // What was just written is likely to be read next: the edit after this one needs the same nodes.
  auto node = Node::decode(id, std::make_shared<const Bytes>(std::move(encoded)));
  if (!node) return fail(Code::Invalid, fmt::format("saving: {}", node.error().message));
  state_->shard_of(id).insert(id, std::move(*node));
  return id;
}

CachedNodes::Stats CachedNodes::stats() const {
  Stats out;
  for (const auto& shard : state_->shards) shard->add_to(out);
  return out;
}

}  // namespace hailstone::tree
