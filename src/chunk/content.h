// A byte string of any size as a list of chunks: cut by content, written, read back by range.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/hash.h"
#include "chunk/store.h"

namespace hailstone::chunk {

struct Ref {
  ChunkId id;
  uint64_t bytes = 0;  // content bytes covered: the chunk's own size at depth 0, the sum below it otherwise
  bool operator==(const Ref&) const = default;
};

inline constexpr size_t kInlineBytesMax = 192;  // content up to this size needs no chunk
inline constexpr size_t kRefsMax = 96;          // more than this many refs go one level down
inline constexpr size_t kRefsPerListChunk = 16384;

/// What an entry says about its bytes. Exactly one form: inline bytes (refs empty), or refs.
/// At depth 0 each ref is a data chunk; at depth d > 0 each names a *list chunk* holding the encoded refs of depth d-1.
struct Content {
  uint64_t bytes = 0;
  Hash256 sha256{};  // of the whole content; for a one-chunk content equal to that chunk's name
  Bytes inlined{};
  uint8_t depth = 0;  // 0..3
  std::vector<Ref> refs{};
  bool operator==(const Content&) const = default;

  void encode(Encoder& out) const;
  /// Invalid-safe: poisons the decoder on anything malformed.
  static Content decode(Decoder& in);
};

/// Cutting parameters (FastCDC, normalized chunking). Defaults from design.md 6.
struct CutOptions {
  uint32_t min_bytes = 64u << 10;
  uint32_t average_bytes = 1u << 20;
  uint32_t max_bytes = 4u << 20;
  Compress compress = Compress::Auto;
};

/// Writes one content. Not thread-safe. Chunks are durable after the store's sync(), which the caller does once for
/// many.
class ContentWriter {
 public:
  ContentWriter(ChunkStore& store, const CutOptions& options);
  ~ContentWriter();
  Result<void> write(ByteView bytes);
  /// The same without a copy: keeps `owner`, and so the bytes in place, until their chunk is stored.
  Result<void> write(ByteView bytes, std::shared_ptr<const void> owner);
  /// What is stored already, its chunks as they are; read once, for the hash of the whole.
  Result<void> append(const Content& content);
  /// Stores the chunk that has no end yet as it is, to let go of its bytes: what follows is cut as from a beginning.
  /// Costs deduplication around that place. Nothing below `min_bytes` is cut off.
  Result<void> end_chunk();
  /// Flushes the last chunk; the writer is then spent.
  Result<Content> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Shortcut for bytes that are already in memory.
Result<Content> write_content(ChunkStore& store, const CutOptions& options, ByteView bytes);

/// The data chunks that cover [offset, offset+length), in order; list chunks are read and resolved.
struct Piece {
  ChunkId id;
  uint64_t chunk_bytes = 0;  // size of the whole chunk
  uint64_t offset = 0;       // within the chunk
  uint64_t length = 0;
};
Result<std::vector<Piece>> pieces(ChunkStore& store, const Content& content, uint64_t offset, uint64_t length);

/// The bytes of a range, at most `bytes_max` (Invalid when the range is longer): for small contents and tools.
Result<Bytes> read_content(ChunkStore& store, const Content& content, uint64_t offset, uint64_t length,
                           uint64_t bytes_max);

/// Every chunk a content names, list chunks included: what collection, prepare and send must walk. NotFound when a list
/// chunk is not here: whether that is damage the caller knows.
Result<void> for_each_chunk(ChunkStore& store, const Content& content,
                            const std::function<void(const ChunkId&)>& visit);

}  // namespace hailstone::chunk
