// Signatures of aws-chunked bodies: each chunk's covers the one before it, the first covers the request's.
#pragma once

#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "s3auth/authenticated.h"

namespace hailstone::s3auth {

struct Trailer {
  Bytes name;   // lower case
  Bytes value;  // without surrounding white space
  bool operator==(const Trailer&) const = default;
};

/// Both sides walk it: the signer to sign, the verifier to compare.
class ChunkChain {
 public:
  explicit ChunkChain(ChunkSeed seed) : seed_(std::move(seed)) {}
  /// Signature, 64 hex digits, of the next chunk; the last chunk has no data.
  const Bytes& next(const Hash256& data_digest);
  /// Signature of the trailer, in the order sent, after that of the last chunk.
  const Bytes& next(const std::vector<Trailer>& trailer);
  /// What the latest signature was made of.
  const Bytes& string_to_sign() const { return string_to_sign_; }

 private:
  const Bytes& advance(std::string_view what, ByteView last_lines);
  ChunkSeed seed_;  // its signature is always the latest
  Bytes string_to_sign_;
};

/// Writes aws-chunked bodies, for our own clients.
class ChunkEncoder {
 public:
  /// `mode` is one of the chunked ones; the seed matters to the signed ones.
  ChunkEncoder(PayloadMode mode, ChunkSeed seed) : mode_(mode), chain_(std::move(seed)) {}
  /// `data` is not empty: an empty chunk ends the body.
  Bytes chunk(ByteView data);
  /// The last chunk and the trailer, which is empty in a mode without.
  Bytes last(const std::vector<Trailer>& trailer = {});

 private:
  Bytes head(ByteView data);
  PayloadMode mode_;
  ChunkChain chain_;
};

}  // namespace hailstone::s3auth
