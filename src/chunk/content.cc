#include "chunk/content.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "chunk/list_chunk.h"

namespace hailstone::chunk {
namespace {

constexpr uint8_t kTagInline = 0;
constexpr uint8_t kTagRefs = 1;  // plus the depth
constexpr uint8_t kDepthMax = 3;
constexpr uint8_t kListMagic = 0x4c;

void encode_ref(Encoder& out, const Ref& ref) {
  out.hash(ref.id);
  out.varint(ref.bytes);
}

/// Reads `count` refs; poisons on an empty ref, a data chunk over the limit or a sum other than `total`.
std::vector<Ref> decode_refs(Decoder& in, size_t count, uint8_t depth, uint64_t total) {
  constexpr size_t kRefBytesMin = 33;
  std::vector<Ref> refs;
  if (!in.ok() || count > in.rest().size() / kRefBytesMin) {
    in.poison();
    return refs;
  }
  refs.reserve(count);
  uint64_t left = total;
  for (size_t i = 0; i < count && in.ok(); ++i) {
    Ref ref;
    ref.id = ChunkId(in.hash());
    ref.bytes = in.varint();
    if (ref.bytes == 0 || ref.bytes > left || (depth == 0 && ref.bytes > kChunkBytesMax)) in.poison();
    left -= std::min(left, ref.bytes);
    refs.push_back(ref);
  }
  if (left != 0) in.poison();
  return refs;
}

bool overlaps(uint64_t start, uint64_t length, uint64_t from, uint64_t to) {
  return start < to && start + length > from;
}

/// Walks the part of a content that covers [from, to) of its bytes, in order.
class Walk {
 public:
  Walk(ChunkStore& store, uint64_t from, uint64_t to) : store_(store), from_(from), to_(to) {}

  std::function<Result<void>(const Ref&, uint64_t start)> on_data;
  std::function<void(const ChunkId&)> on_list = [](const ChunkId&) {};
  bool may_be_absent = false;  // it is a claim that this content is here: NotFound is an answer, not damage

  Result<void> run(const std::vector<Ref>& refs, uint8_t depth, uint64_t start) {
    for (const Ref& ref : refs) {
      if (start >= to_) break;
      if (overlaps(start, ref.bytes, from_, to_)) {
        if (depth == 0) {
          TRY_DO(on_data(ref, start));
        } else {
          TRY_DO(list(ref, depth, start));
        }
      }
      start += ref.bytes;
    }
    return {};
  }

 private:
  Result<void> list(const Ref& ref, uint8_t depth, uint64_t start) {
    on_list(ref.id);
    auto bytes = may_be_absent ? store_.get(ref.id) : store_.fetch(ref.id);
    if (!bytes) return std::unexpected(std::move(bytes).error().within(fmt::format("list chunk {}", ref.id.brief())));
    auto refs = decode_list(**bytes, depth - 1, ref.bytes);
    if (!refs) return std::unexpected(std::move(refs).error().within(fmt::format("chunk {}", ref.id.brief())));
    return run(*refs, depth - 1, start);
  }

  ChunkStore& store_;
  uint64_t from_;
  uint64_t to_;
};

Result<void> check_range(const Content& content, uint64_t offset, uint64_t length) {
  if (offset > content.bytes || length > content.bytes - offset)
    return fail(Code::Invalid, fmt::format("range {}+{} of a content of {} bytes", offset, length, content.bytes));
  return {};
}

}  // namespace

void Content::encode(Encoder& out) const {
  if (refs.empty()) {
    out.u8(kTagInline);
    out.bytes(inlined);
    out.hash(sha256);
    return;
  }
  out.u8(kTagRefs + depth);
  out.varint(bytes);
  out.varint(refs.size());
  for (const Ref& ref : refs) encode_ref(out, ref);
  if (depth > 0 || refs.size() > 1) out.hash(sha256);
}

Content Content::decode(Decoder& in) {
  Content content;
  const uint8_t tag = in.u8();
  if (tag == kTagInline) {
    const ByteView inlined = in.bytes();
    if (inlined.size() > kInlineBytesMax) in.poison();
    content.sha256 = in.hash();
    if (!in.ok()) return {};
    content.inlined = inlined;
    content.bytes = inlined.size();
    return content;
  }
  if (tag > kTagRefs + kDepthMax) in.poison();
  content.depth = static_cast<uint8_t>(tag - kTagRefs);
  content.bytes = in.varint();
  const uint64_t count = in.varint();
  if (count == 0 || count > kRefsMax) in.poison();
  content.refs = decode_refs(in, count, content.depth, content.bytes);
  if (!in.ok()) return {};
  content.sha256 = content.depth > 0 || count > 1 ? in.hash() : content.refs[0].id;
  if (!in.ok()) return {};
  return content;
}

Bytes encode_list(uint8_t depth, std::span<const Ref> refs) {
  Bytes out;
  out.reserve(8 + refs.size() * 36);
  Encoder encoder(out);
  encoder.u8(kListMagic);
  encoder.u8(depth);
  encoder.varint(refs.size());
  for (const Ref& ref : refs) encode_ref(encoder, ref);
  return out;
}

Result<std::vector<Ref>> decode_list(ByteView list, uint8_t depth, uint64_t bytes) {
  Decoder in(list);
  const bool named = in.u8() == kListMagic && in.u8() == depth;
  const uint64_t count = in.varint();
  if (!named || count == 0 || count > kRefsPerListChunk) in.poison();
  auto refs = decode_refs(in, count, depth, bytes);
  if (!in.done())
    return fail(Code::Corrupt,
                fmt::format("{} bytes that are no list of depth {} for {} bytes", list.size(), depth, bytes));
  return refs;
}

Result<std::vector<Piece>> pieces(ChunkStore& store, const Content& content, uint64_t offset, uint64_t length) {
  TRY_DO(check_range(content, offset, length));
  std::vector<Piece> out;
  if (length == 0) return out;
  if (content.refs.empty()) return fail(Code::Invalid, "an inline content has no pieces");
  const uint64_t end = offset + length;
  Walk walk(store, offset, end);
  walk.on_data = [&](const Ref& ref, uint64_t start) -> Result<void> {
    const uint64_t skip = offset > start ? offset - start : 0;
    out.push_back({ref.id, ref.bytes, skip, std::min(ref.bytes, end - start) - skip});
    return {};
  };
  TRY_DO(walk.run(content.refs, content.depth, 0));
  return out;
}

Result<Bytes> read_content(ChunkStore& store, const Content& content, uint64_t offset, uint64_t length,
                           uint64_t bytes_max) {
  TRY_DO(check_range(content, offset, length));
  if (length > bytes_max)
    return fail(Code::Invalid, fmt::format("range of {} bytes: at most {} at once", length, bytes_max));
  if (content.refs.empty()) return content.inlined.substr(offset, length);
  TRY(const auto parts, pieces(store, content, offset, length));
  Bytes out;
  out.reserve(length);
  for (const Piece& piece : parts) {
    TRY(const SharedBytes chunk, store.fetch(piece.id));
    if (chunk->size() != piece.chunk_bytes)
      return fail(Code::Corrupt, fmt::format("chunk {}: {} bytes where its content says {}", piece.id.brief(),
                                             chunk->size(), piece.chunk_bytes));
    out.append(*chunk, piece.offset, piece.length);
  }
  return out;
}

Result<void> for_each_chunk(ChunkStore& store, const Content& content,
                            const std::function<void(const ChunkId&)>& visit) {
  Walk walk(store, 0, std::numeric_limits<uint64_t>::max());
  walk.may_be_absent = true;
  walk.on_list = visit;
  walk.on_data = [&](const Ref& ref, uint64_t) -> Result<void> {
    visit(ref.id);
    return {};
  };
  return walk.run(content.refs, content.depth, 0);
}

}  // namespace hailstone::chunk
