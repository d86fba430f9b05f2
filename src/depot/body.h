// The bytes of a stored content as an HTTP body: from memory, by sendfile, or chunk by chunk as the client takes them.
#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "chunk/content.h"
#include "chunk/extent_cache.h"
#include "chunk/store.h"
#include "http/message.h"

namespace hailstone::depot {

/// A piece of a chunk, uncompressed.
struct Slice {
  chunk::Piece piece;
};
/// A whole chunk as it is stored: one zstd frame.
struct Frame {
  ChunkId id;
};
/// What a body is put together from, in order.
using Segment = std::variant<Bytes, Slice, Frame>;

/// Verified bytes of one segment. Chunks up to `memory_max` bytes come as shared memory, larger ones as a part of a
/// file where the store has one.
Result<http::Part> load(chunk::ExtentCache& extents, const Segment& segment, uint32_t memory_max);

/// Appends the slices that cover [offset, offset + length) of a content that is not inline.
Result<void> append_slices(chunk::ChunkStore& chunks, const chunk::Content& content, uint64_t offset, uint64_t length,
                           std::vector<Segment>& out);

/// A body of these segments: just a part when there is one, else a source that loads one segment after another. The
/// first is loaded here, so that damage in it is an error of the request and not a connection cut short.
using Body = std::variant<http::Part, std::unique_ptr<http::BodySource>>;
Result<Body> make_body(chunk::ExtentCache& extents, std::vector<Segment> segments, uint32_t memory_max);

/// The bytes of an extent where they lie.
http::Part part_of(chunk::Extent extent);

/// How a content may be sent besides as it is.
struct Codings {
  bool zstd = false;          // every chunk is stored as a zstd frame: their concatenation is the content, coded
  uint64_t zstd_bytes = 0;    // of all frames
  bool pays = false;          // some chunk is stored compressed: the store found that it saves at least an eighth
  std::optional<Error> lost;  // the store knows already that a chunk is missing: only ranges beside it can be had
};
/// Nothing is read but the store's index. Contents of list chunks (hundreds of megabytes) have no codings.
Codings codings_of(chunk::ChunkStore& chunks, const chunk::Content& content);

}  // namespace hailstone::depot
