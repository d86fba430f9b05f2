// What commands have changed and is not yet in the database: written together, and visible to the next command before.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "replica/database.h"

namespace hailstone::replica {

/// The database as it will be once what is pending is written. For the thread that applies.
class Pending final : public Reader {
 public:
  /// `write` puts what is pending into the database; an iteration needs that first.
  Pending(const Database& database, std::function<Result<void>()> write)
      : database_(database), write_(std::move(write)) {}

  void add(Batch batch);
  /// To be written. In the order of the keys where that changes nothing: a sorted run enters the database in half the
  /// time (docs/performance.md).
  Batch& batch();
  size_t bytes() const { return bytes_; }
  void clear();

  Result<std::optional<Bytes>> get(ByteView key) const override;
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override;

 private:
  const Database& database_;
  const std::function<Result<void>()> write_;
  Batch batch_;
  size_t bytes_ = 0;
  bool ranges_ = false;                                // something erased a range: look from the end
  std::unordered_multimap<uint64_t, size_t> changed_;  // hash of a key -> its changes in batch_
};

}  // namespace hailstone::replica
