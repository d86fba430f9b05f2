// Reads and verifies single records of segments.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "chunk/compression.h"
#include "chunk/index.h"
#include "chunk/segment.h"
#include "chunk/segment_files.h"
#include "chunk/segment_writer.h"

namespace hailstone::chunk {

/// Thread-safe. A Corrupt error says what is wrong with the record, not where it is: the caller knows.
class Records {
 public:
  Records(SegmentFiles& files, Compressor& compressor) : files_(files), compressor_(compressor) {}
  /// From now on the newest records may be in its buffer.
  void attach(SegmentWriter& writer) { writer_ = &writer; }

  Result<RecordHeader> header(Location at) const;

  /// The chunk at a place, checked by CRC and, unless the location is flagged kVerified, by name. Null when `want` is
  /// given and another chunk lies there.
  Result<SharedBytes> load(Location at, const ChunkId* want) const;

  /// Header and payload as stored, checked by CRC and, unless the location is flagged kVerified, by name.
  Result<std::pair<RecordHeader, Bytes>> load_raw(Location at) const;

  /// Reads the blocks that [offset, offset + length) of the stored payload touches and compares their CRCs.
  Result<void> check_blocks(Location at, const RecordHeader& header, uint64_t offset, uint64_t length) const;
  /// All blocks by CRC, and the whole by name.
  Result<void> check_name(Location at, const RecordHeader& header) const;

  /// Bytes lie in a file when this returns.
  Result<std::shared_ptr<disk::File>> settle(Location at);

 private:
  static constexpr size_t kScratchBytes = 1u << 20;  // still cached when it is summed; measured fastest
  class Scratch;
  Result<size_t> read(Location at, uint64_t skip, std::span<char> out) const;
  Result<SharedBytes> load_small(Location at, const ChunkId* want) const;
  Result<SharedBytes> load_large(Location at, const ChunkId* want) const;
  Result<SharedBytes> unpack(Location at, const RecordHeader& header, ByteView payload) const;
  template <class F>
  Result<void> each_part(Location at, const RecordHeader& header, size_t first, size_t last, F&& visit) const;

  SegmentFiles& files_;
  SegmentWriter* writer_ = nullptr;
  Compressor& compressor_;
  mutable std::mutex scratch_mutex_;  // a page touched first costs microseconds, so buffers are used again
  mutable std::vector<std::unique_ptr<char[]>> scratch_;
};

}  // namespace hailstone::chunk
