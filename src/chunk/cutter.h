// Where a byte stream is cut into chunks: FastCDC with normalized chunking, a part of the on-disk contract.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "chunk/content.h"

namespace hailstone::chunk {

/// Invalid unless 64 <= min < average < max <= kChunkBytesMax and the average is a power of two.
Result<void> validate(const CutOptions& options);

/// Length of the first chunk of `bytes`, 1..max_bytes. `bytes` must be non-empty and either hold at least max_bytes or
/// reach to the end of the content: the answer depends on nothing else, so any splitting of the writes cuts alike.
/// Changing what this returns loses deduplication against everything stored (docs/formats/content.md, "Cutting").
size_t cut(ByteView bytes, const CutOptions& options);

/// The same cuts, of a content that comes in parts of any size: a chunk ends as soon as its last byte is seen.
class Cutter {
 public:
  explicit Cutter(const CutOptions& options);
  /// How much of `next`, which follows what was given before, belongs to the chunk that ends in it; the next call goes
  /// on behind that. Nothing: all of it, and the chunk has no end yet.
  std::optional<size_t> find(ByteView next);
  /// The next call begins a chunk.
  void restart();

 private:
  CutOptions options_;
  uint64_t hard_, easy_;  // masks before and after the average is reached
  size_t position_ = 0;   // bytes of the chunk so far
  uint64_t hash_ = 0;
};

}  // namespace hailstone::chunk
