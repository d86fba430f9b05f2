#include "s3auth/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <utility>

namespace hailstone::s3auth {
namespace {

constexpr size_t kBlockBytes = 64;  // of SHA-1 and SHA-256 alike

Bytes sha1(ByteView bytes) {
  Bytes out(SHA_DIGEST_LENGTH, '\0');
  SHA1(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
       reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

Bytes sha256_bytes(ByteView bytes) { return Bytes(sha256(bytes).view()); }

template <class Digest>
Bytes hmac(Digest digest, ByteView key, ByteView message) {
  Bytes block = key.size() > kBlockBytes ? digest(key) : Bytes(key);
  block.resize(kBlockBytes, '\0');
  Bytes inner = block, outer = std::move(block);
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  return digest(outer + digest(inner.append(message)));
}

}  // namespace

Hash256 hmac_sha256(ByteView key, ByteView message) { return Hash256::from_view(hmac(sha256_bytes, key, message)); }

Bytes hmac_sha1(ByteView key, ByteView message) { return hmac(sha1, key, message); }

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace hailstone::s3auth
