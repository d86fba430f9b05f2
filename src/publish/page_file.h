// A file of fixed-size pages kept in a persistent tree: read lazily, written copy-on-write (docs/formats/search.md).
#pragma once

#include <map>
#include <optional>

#include "chunk/store.h"
#include "tree/tree.h"

namespace hailstone::publish {

inline constexpr size_t kPageBytes = 8u << 10;

/// Tree: key = page number, 8 bytes big-endian, from 0 without gaps; value = name of the chunk with the page's bytes;
/// weight = kPageBytes. Not thread-safe. The stores outlive it.
class PageFile {
 public:
  struct Options {
    uint64_t overlay_bytes_max = 64u << 20;  // changed pages held before they are flushed to the stores
  };
  PageFile(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const Options& options)
      : nodes_(nodes), chunks_(chunks), options_(options) {}

  /// Starts from the file of `root`. Corrupt when that isn't one.
  Result<void> open(const tree::Root& root);

  uint64_t bytes() const { return pages_ * kPageBytes; }
  /// Fills `out` from [offset, ...) ; beyond the end it is filled with zeros. Returns how many bytes were in the file.
  Result<size_t> read(uint64_t offset, std::span<char> out);
  /// Extends the file as needed.
  Result<void> write(uint64_t offset, ByteView data);
  Result<void> truncate(uint64_t bytes);
  /// Everything written so far as a tree; saved, not synced.
  Result<tree::Root> flush();

  struct Stats {
    uint64_t pages_read = 0;     // fetched from the chunk store
    uint64_t pages_flushed = 0;  // put into it, again where a page was flushed before
  };
  const Stats& stats() const { return stats_; }

 private:
  Result<chunk::SharedBytes> load(uint64_t page);
  Result<Bytes*> change(uint64_t page);

  tree::NodeStore& nodes_;
  chunk::ChunkStore& chunks_;
  Options options_;
  tree::Root root_;           // what was flushed last
  uint64_t root_pages_ = 0;   // pages in root_
  uint64_t valid_pages_ = 0;  // of root_: those at and after it were truncated away since
  uint64_t pages_ = 0;        // of the file as it is now
  std::map<uint64_t, Bytes> overlay_;
  std::pair<uint64_t, chunk::SharedBytes> last_;  // SQLite reads parts of the first page before the whole
  Stats stats_;
};

/// The chunk that a value of such a tree names: what collection, prepare and send need to know. Corrupt.
Result<ChunkId> page_chunk(ByteView value);

}  // namespace hailstone::publish
