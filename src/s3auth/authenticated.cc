#include "s3auth/authenticated.h"

namespace hailstone::s3auth {

std::string_view payload_mode_text(PayloadMode mode) {
  switch (mode) {
    case PayloadMode::Unsigned: return "UNSIGNED-PAYLOAD";
    case PayloadMode::Digest: return "";
    case PayloadMode::SignedChunks: return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    case PayloadMode::SignedChunksTrailer: return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    case PayloadMode::UnsignedChunksTrailer: return "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  }
  return "";
}

Verdict<> check_payload(const Authenticated& who, const Hash256& computed) {
  if (!who.payload_digest || *who.payload_digest == computed) return {};
  return refuse(
      "XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed.",
      {{"ClientComputedContentSHA256", who.payload_digest->hex()}, {"S3ComputedContentSHA256", computed.hex()}});
}

}  // namespace hailstone::s3auth
