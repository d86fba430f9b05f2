// A list chunk: the chunk that holds the refs of a big content, one level below its entry (docs/formats/content.md).
#pragma once

#include <span>
#include <vector>

#include "base/error.h"
#include "chunk/content.h"

namespace hailstone::chunk {

/// `depth` is that of the refs listed: 0 when they name data chunks. 1..kRefsPerListChunk refs.
Bytes encode_list(uint8_t depth, std::span<const Ref> refs);

/// Corrupt unless it is a list of `depth` whose refs sum to `bytes`.
Result<std::vector<Ref>> decode_list(ByteView list, uint8_t depth, uint64_t bytes);

}  // namespace hailstone::chunk
