// What commands have changed and is not yet in the database: written together, and visible to the next command before.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "replica/database.h"

namespace hailstone::replica {

/// What was read or written lately, key by key; that a key is absent, too. It forgets what has not been used for a
/// while beyond so many bytes.
class ReadCache {
 public:
  explicit ReadCache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Null: not known. Valid until anything else is called.
  const std::optional<Bytes>* find(ByteView key);
  void put(ByteView key, std::optional<Bytes> value);
  void clear();

 private:
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(ByteView key) const { return xxh3(key); }
  };
  using Map = std::unordered_map<Bytes, std::optional<Bytes>, KeyHash, std::equal_to<>>;

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
  Batch::Op* pending(ByteView key, uint64_t hash) const;

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
