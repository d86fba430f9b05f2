// gzip (RFC 1952) of bytes in memory, for answers that are compressed on the fly.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::depot {

/// No name and no time in it: the same bytes give the same result with the same zlib.
Result<Bytes> gzip(ByteView bytes);

/// Media types of text and its like; parameters are ignored, ASCII case too.
bool is_compressible(std::string_view content_type);

}  // namespace hailstone::depot
