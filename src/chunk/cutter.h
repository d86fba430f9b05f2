// Where a byte stream is cut into chunks: FastCDC with normalized chunking, a part of the on-disk contract.
#pragma once

#include <cstddef>

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

}  // namespace hailstone::chunk
