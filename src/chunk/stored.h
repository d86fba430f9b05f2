// Chunks in the form in which they are stored and travel: made once, verified wherever they arrive.
#pragma once

#include "chunk/compression.h"
#include "chunk/store.h"

namespace hailstone::chunk {

/// As a store would keep it: compressed where that is asked for and pays.
StoredChunk pack(Compressor& compressor, ByteView bytes, Compress compress);

/// The chunk's bytes, which must be those of its name. Corrupt: they are not, or the form is not what it says; Invalid:
/// no chunk has that size.
Result<Bytes> unpack(Compressor& compressor, const ChunkId& id, const StoredView& chunk);
/// The same check, without a copy where none is needed.
Result<void> verify(Compressor& compressor, const ChunkId& id, const StoredView& chunk);

}  // namespace hailstone::chunk
