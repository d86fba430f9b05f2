// What commands have changed and is not yet in the database: written together, and visible to the next command before.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "replica/database.h"

namespace hailstone::replica {

/// What was read lately, key by key, as it is now; that a key is absent, too. It forgets what has not been used for a
/// while beyond so many bytes. What is written and never read, as a history is, takes no room.
class ReadCache {
 public:
  /// A key and its hash, computed once for all that look it up.
  struct Hashed {
    explicit Hashed(ByteView key) : bytes(key), hash(xxh3(key)) {}
    ByteView bytes;
    uint64_t hash;
  };

  explicit ReadCache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Null: not known. Valid until anything else is called.
  const std::optional<Bytes>* find(Hashed key);
  void put(Hashed key, std::optional<Bytes> value);
  /// What is known of the key is this from now on; null: that it is absent.
  void changed(Hashed key, const Bytes* value);
  void clear();

 private:
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(const Hashed& key) const { return key.hash; }
    size_t operator()(const Bytes& key) const { return xxh3(key); }
  };
  struct KeyEqual {
    using is_transparent = void;
    static ByteView view(const Hashed& key) { return key.bytes; }
    static ByteView view(const Bytes& key) { return key; }
    bool operator()(const auto& a, const auto& b) const { return view(a) == view(b); }
  };
  using Map = std::unordered_map<Bytes, std::optional<Bytes>, KeyHash, KeyEqual>;

  bool is_large(Hashed key, size_t value_bytes) const { return key.bytes.size() + value_bytes > bytes_max_ / 64; }

  uint64_t bytes_max_;
  Map recent_, older_;  // what is found among the older ones becomes recent again; the rest goes when recent_ is full
  uint64_t recent_bytes_ = 0;
};

/// The database as it will be once what is pending is written. For the thread that applies.
class Pending final : public Reader {
 public:
  /// `write` puts what is pending into the database; an iteration needs that first.
  Pending(const Database& database, std::function<Result<void>()> write, uint64_t cache_bytes_max)
      : database_(database), write_(std::move(write)), cache_(cache_bytes_max) {}

  void add(Batch batch);
  /// To be written. In the order of the keys where that changes nothing: a sorted run enters the database in half the
  /// time (docs/performance.md).
  Batch& batch();
  size_t bytes() const { return bytes_; }
  void clear();
  /// The database was changed by others.
  void forget() { cache_.clear(); }

  Result<std::optional<Bytes>> get(ByteView key) const override;
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override;

 private:
  Batch::Op* pending(ReadCache::Hashed key) const;

  const Database& database_;
  const std::function<Result<void>()> write_;
  std::vector<Batch::Op> ops_;
  Batch batch_;  // of batch()
  size_t bytes_ = 0;
  bool ranges_ = false;                                // something erased a range: look from the end
  std::unordered_multimap<uint64_t, size_t> changed_;  // hash of a key -> its changes in ops_; one, unless ranges_
  mutable ReadCache cache_;
};

}  // namespace hailstone::replica
