#include "depot/body.h"

#include "depot/find.h"

namespace hailstone::depot {
namespace {

Result<http::Part> load_slice(chunk::ExtentCache& extents, const chunk::Piece& piece, uint32_t memory_max) {
  if (piece.chunk_bytes > memory_max) {
    auto extent = extents.extent(piece.id, chunk::ChunkStore::Form::Plain, piece.offset, piece.length);
    if (extent) return part_of(*std::move(extent));
    if (extent.error().code != Code::Unsupported) return std::unexpected(damaged(std::move(extent).error()));
  }
  auto bytes = extents.store().get(piece.id);
  if (!bytes) return std::unexpected(damaged(std::move(bytes).error()));
  if (piece.offset + piece.length > (*bytes)->size())
    return fail(Code::Corrupt, "chunk " + piece.id.brief() + " is shorter than its content says");
  return http::Part(http::SharedSpan{*std::move(bytes), piece.offset, piece.length});
}

class Segments final : public http::BodySource {
 public:
  Segments(chunk::ExtentCache& extents, std::vector<Segment> segments, http::Part first, uint32_t memory_max)
      : extents_(extents), segments_(std::move(segments)), first_(std::move(first)), memory_max_(memory_max) {}

  http::Task<Result<std::optional<http::Part>>> next() override {
    if (first_) {
      std::optional<http::Part> part = std::move(first_);
      first_.reset();
      co_return part;
    }
    if (next_ == segments_.size()) co_return std::nullopt;
    CO_TRY(http::Part part, load(extents_, segments_[next_], memory_max_));
    ++next_;
    co_return std::optional<http::Part>(std::move(part));
  }

 private:
  chunk::ExtentCache& extents_;
  std::vector<Segment> segments_;
  std::optional<http::Part> first_;
  size_t next_ = 1;
  uint32_t memory_max_;
};

}  // namespace

http::Part part_of(chunk::Extent extent) {
  if (extent.memory) return http::PageSpan{std::move(extent.pin), ByteView(extent.memory, extent.length)};
  return http::FileSpan{std::move(extent.pin), extent.fd, extent.offset, extent.length};
}

Result<http::Part> load(chunk::ExtentCache& extents, const Segment& segment, uint32_t memory_max) {
  if (const auto* bytes = std::get_if<Bytes>(&segment)) return http::Part(*bytes);
  if (const auto* slice = std::get_if<Slice>(&segment)) return load_slice(extents, slice->piece, memory_max);
  auto extent = extents.extent(std::get<Frame>(segment).id, chunk::ChunkStore::Form::StoredFrame, 0, 0);
  if (!extent) return std::unexpected(damaged(std::move(extent).error()));
  return part_of(*std::move(extent));
}

Result<void> append_slices(chunk::ChunkStore& chunks, const chunk::Content& content, uint64_t offset, uint64_t length,
                           std::vector<Segment>& out) {
  auto pieces = chunk::pieces(chunks, content, offset, length);
  if (!pieces) return std::unexpected(damaged(std::move(pieces).error()));
  for (const chunk::Piece& piece : *pieces) out.push_back(Slice{piece});
  return {};
}

Result<Body> make_body(chunk::ExtentCache& extents, std::vector<Segment> segments, uint32_t memory_max) {
  if (segments.empty()) return Body(http::Part(Bytes()));
  TRY(http::Part first, load(extents, segments.front(), memory_max));
  if (segments.size() == 1) return Body(std::move(first));
  return Body(std::make_unique<Segments>(extents, std::move(segments), std::move(first), memory_max));
}

Codings codings_of(chunk::ChunkStore& chunks, const chunk::Content& content) {
  Codings out;
  if (content.refs.empty() || content.depth != 0) return out;
  out.zstd = true;
  for (const chunk::Ref& ref : content.refs) {
    auto stat = chunks.stat(ref.id);
    if (!stat) return Codings{.lost = damaged(std::move(stat).error())};
    out.zstd = out.zstd && stat->zstd;
    out.pays = out.pays || stat->zstd;
    out.zstd_bytes += stat->stored_bytes;
  }
  return out;
}

}  // namespace hailstone::depot
