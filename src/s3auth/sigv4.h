// AWS Signature Version 4 of requests: Authorization header and presigned query, verified and made. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "http/message.h"
#include "s3auth/authenticated.h"
#include "s3auth/refusals.h"

namespace hailstone::s3auth {

inline constexpr int64_t kExpiresSecondsMax = 7 * 24 * 3600;

/// A request whose Authorization field says AWS4-HMAC-SHA256.
Verdict<Authenticated> verify_v4_header(const http::RequestHead& head, const ScopeRule& rule,
                                        const SigningKeyLookup& keys, UnixMicros now);
/// A request with X-Amz-Signature and its companions in the query.
Verdict<Authenticated> verify_v4_query(const http::RequestHead& head, const ScopeRule& rule,
                                       const SigningKeyLookup& keys, UnixMicros now);

struct Credentials {
  Bytes access_key_id;
  Bytes secret;
  Bytes region = "us-east-1";
};

struct SignedHeader {
  Bytes authorization;  // value of the Authorization field
  ChunkSeed seed;       // for ChunkSigner
};
/// Signs Host, every x-amz-* field, Content-Type, Content-MD5, and the fields named in `more` (lower case). `head` has
/// Host, X-Amz-Date and X-Amz-Content-Sha256 already. Refused: malformed escapes, one of the three missing.
Verdict<SignedHeader> sign_v4_header(const http::RequestHead& head, const Credentials& credentials,
                                     const std::vector<Bytes>& more = {});

/// The query to send, `head`'s own and the signature's. Signs the same fields but asks for Host only.
Verdict<Bytes> presign_v4(const http::RequestHead& head, const Credentials& credentials, UnixMicros time,
                          int64_t expires_s, const std::vector<Bytes>& more = {});

}  // namespace hailstone::s3auth
