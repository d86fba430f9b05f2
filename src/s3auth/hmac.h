// Keyed hashes (RFC 2104) of both signature versions, and a comparison that does not tell where two strings differ.
#pragma once

#include "base/bytes.h"
#include "base/hash.h"

namespace hailstone::s3auth {

Hash256 hmac_sha256(ByteView key, ByteView message);
/// 20 bytes; for signature version 2 only.
Bytes hmac_sha1(ByteView key, ByteView message);

/// Takes the same time wherever two strings of one length differ; a difference in length shows at once.
bool equal_in_constant_time(ByteView a, ByteView b);

}  // namespace hailstone::s3auth
