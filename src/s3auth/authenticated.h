// What a good signature proves: who asks, and how the body that follows is to be checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "s3auth/refusal.h"
#include "s3auth/scope.h"

namespace hailstone::s3auth {

/// Where a request carries its signature.
enum class Scheme : uint8_t { Anonymous, V4Header, V4Query, V2Header, V2Query };
constexpr bool is_presigned(Scheme scheme) { return scheme == Scheme::V4Query || scheme == Scheme::V2Query; }

/// x-amz-content-sha256, read.
enum class PayloadMode : uint8_t {
  Unsigned,               // UNSIGNED-PAYLOAD, and all of version 2
  Digest,                 // the SHA-256 of the body
  SignedChunks,           // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
  SignedChunksTrailer,    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
  UnsignedChunksTrailer,  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};
constexpr bool is_chunked(PayloadMode mode) { return mode >= PayloadMode::SignedChunks; }
constexpr bool has_signed_chunks(PayloadMode mode) {
  return mode == PayloadMode::SignedChunks || mode == PayloadMode::SignedChunksTrailer;
}
constexpr bool has_trailer(PayloadMode mode) { return mode >= PayloadMode::SignedChunksTrailer; }
std::string_view payload_mode_text(PayloadMode mode);  // empty for Digest

/// Beginning of the chain of chunk signatures.
struct ChunkSeed {
  Bytes signature;  // of the request, 64 hex digits
  SigningKey key;
  Bytes amz_date;
  Bytes scope;  // Scope::text()
};

struct Authenticated {
  Bytes access_key_id;
  Scheme scheme = Scheme::V4Header;
  PayloadMode payload = PayloadMode::Unsigned;
  std::optional<Hash256> payload_digest;  // Digest: what the body must hash to; see check_payload
  ChunkSeed seed;                         // version 4 only
};

/// XAmzContentSHA256Mismatch unless the body's digest is the signed one.
Verdict<> check_payload(const Authenticated& who, const Hash256& computed);

}  // namespace hailstone::s3auth
