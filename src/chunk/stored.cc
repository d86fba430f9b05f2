#include "chunk/stored.h"

#include <fmt/core.h>

namespace hailstone::chunk {
namespace {

Result<void> check_sizes(const ChunkId& id, const StoredView& chunk) {
  if (chunk.bytes == 0 || chunk.bytes > kChunkBytesMax || chunk.payload.size() > kChunkBytesMax)
    return fail(Code::Invalid, fmt::format("chunk {} of {} bytes, stored as {}: 1..{} allowed", id.brief(), chunk.bytes,
                                           chunk.payload.size(), kChunkBytesMax));
  if (!chunk.zstd && chunk.payload.size() != chunk.bytes)
    return fail(Code::Corrupt,
                fmt::format("chunk {}: {} bytes, {} expected", id.brief(), chunk.payload.size(), chunk.bytes));
  return {};
}

Result<void> check_name(const ChunkId& id, ByteView bytes) {
  if (const ChunkId found(sha256(bytes)); found != id)
    return fail(Code::Corrupt, fmt::format("chunk {}: its bytes are those of {}", id.brief(), found.brief()));
  return {};
}

}  // namespace

StoredChunk pack(Compressor& compressor, ByteView bytes, Compress compress) {
  StoredChunk out{.bytes = static_cast<uint32_t>(bytes.size())};
  std::optional<Bytes> frame;
  if (compress == Compress::Auto) frame = compressor.compress(bytes);
  out.zstd = frame.has_value();
  out.payload = frame ? std::move(*frame) : Bytes(bytes);
  return out;
}

Result<Bytes> unpack(Compressor& compressor, const ChunkId& id, const StoredView& chunk) {
  TRY_DO(check_sizes(id, chunk));
  Bytes bytes;
  if (chunk.zstd) {
    auto content = compressor.decompress(chunk.payload, chunk.bytes);
    if (!content) return std::unexpected(std::move(content).error().within("chunk " + id.brief()));
    bytes = std::move(*content);
  } else {
    bytes = Bytes(chunk.payload);
  }
  TRY_DO(check_name(id, bytes));
  return bytes;
}

Result<void> verify(Compressor& compressor, const ChunkId& id, const StoredView& chunk) {
  if (chunk.zstd) {
    TRY_DO(unpack(compressor, id, chunk));
    return {};
  }
  TRY_DO(check_sizes(id, chunk));
  return check_name(id, chunk.payload);
}

Result<void> ChunkStore::put_stored(const ChunkId& id, const StoredView& chunk) {
  if (!chunk.zstd) return put_named(id, chunk.payload, Compress::Never);
  Compressor compressor;
  TRY(const Bytes bytes, compressor.decompress(chunk.payload, chunk.bytes));
  return put_named(id, bytes, Compress::Auto);
}

Result<StoredChunk> ChunkStore::get_stored(const ChunkId& id) {
  TRY(const SharedBytes bytes, get(id));
  return StoredChunk{.bytes = static_cast<uint32_t>(bytes->size()), .zstd = false, .payload = *bytes};
}

}  // namespace hailstone::chunk
