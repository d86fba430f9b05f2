// zstd frames around chunks, with contexts that are used again.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::chunk {

/// Thread-safe: contexts are expensive to make, so they go back to a list behind a short lock.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  /// One complete level-1 frame, or nothing when it would not save an eighth of `bytes`.
  std::optional<Bytes> compress(ByteView bytes);
  /// The frame's content, which must be exactly `size` bytes. Corrupt otherwise.
  Result<Bytes> decompress(ByteView frame, size_t size);

 private:
  struct Contexts;
  class Lease;
  std::unique_ptr<Contexts> take();
  std::mutex mutex_;
  std::vector<std::unique_ptr<Contexts>> free_;
};

}  // namespace hailstone::chunk
