#include "base/hash.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hailstone {

Hash256 Hash256::from_view(ByteView view32) {
  CHECK(view32.size() == 32);
  Hash256 out;
  std::memcpy(out.bytes.data(), view32.data(), 32);
  return out;
}

std::optional<Hash256> Hash256::parse_hex(std::string_view text) {
  Bytes raw;
  if (text.size() != 64 || !from_hex(text, raw)) return std::nullopt;
  return from_view(raw);
}

Hash256 sha256(ByteView bytes) {
  Hash256 out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.bytes.data());
  return out;
}

struct Hasher::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Hasher::Hasher(Kind kind) : context_(std::make_unique<Context>()) {
  CHECK(EVP_DigestInit_ex(context_->evp, kind == Kind::Sha256 ? EVP_sha256() : EVP_md5(), nullptr) == 1);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(ByteView bytes) { CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1); }

Bytes Hasher::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  CHECK(EVP_DigestFinal_ex(context_->evp, digest, &length) == 1);
  return Bytes(reinterpret_cast<const char*>(digest), length);
}

namespace {

// ISA-L 2.30 returns with the upper halves of vector registers in use, and until they are cleared every SSE instruction
// of the thread also waits for them: SHA-256 takes a third longer, two of them interleaved twice as long.
#if defined(__x86_64__)
__attribute__((target("avx"))) void clear_upper_halves() { _mm256_zeroupper(); }
void after_isal() {
  static const bool has_avx = __builtin_cpu_supports("avx") != 0;
  if (has_avx) clear_upper_halves();
}
#else
void after_isal() {}
#endif

}  // namespace

uint32_t crc32c(ByteView bytes, uint32_t seed) {
  // ISA-L computes the raw register; the standard inverts it before and after.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  uint32_t crc = ~seed;
  while (bytes.size() > 0) {
    const auto part = static_cast<int>(std::min<size_t>(bytes.size(), 1u << 30));
    crc = crc32_iscsi(data, part, crc);
    data += part;
    bytes.remove_prefix(static_cast<size_t>(part));
  }
  after_isal();
  return ~crc;
}

uint64_t xxh3(ByteView bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

}  // namespace hailstone
