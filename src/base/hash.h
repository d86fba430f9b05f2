// The hashes everything is named and checked by: SHA-256 for names, CRC32C and XXH3 for storage, MD5 for S3's ETag.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"

namespace hailstone {

/// A SHA-256 digest. Ordered bytewise; all zero names nothing.
struct Hash256 {
  std::array<uint8_t, 32> bytes{};
  auto operator<=>(const Hash256&) const = default;

  bool is_zero() const { return *this == Hash256{}; }
  ByteView view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  Bytes hex() const { return to_hex(view()); }
  /// First 12 hex digits, for messages.
  Bytes brief() const { return hex().substr(0, 12); }

  static Hash256 from_view(ByteView view32);  // exactly 32 bytes, CHECKed
  static std::optional<Hash256> parse_hex(std::string_view text);
};

/// A chunk's name: the SHA-256 of its uncompressed bytes.
struct ChunkId : Hash256 {
  ChunkId() = default;
  explicit ChunkId(const Hash256& hash) : Hash256(hash) {}
  auto operator<=>(const ChunkId&) const = default;
};

Hash256 sha256(ByteView bytes);

/// Incremental SHA-256 or MD5. update() any number of times, then finish() once.
class Hasher {
 public:
  enum class Kind { Sha256, Md5 };
  explicit Hasher(Kind kind);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(ByteView bytes);
  /// 32 bytes for SHA-256, 16 for MD5.
  Bytes finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// CRC-32C (Castagnoli, RFC 3720 §B.4). `seed` continues an earlier result; crc32c("123456789") == 0xe3069283.
uint32_t crc32c(ByteView bytes, uint32_t seed = 0);

/// XXH3 64-bit: hash tables and history-independent node boundaries; not for trust.
uint64_t xxh3(ByteView bytes, uint64_t seed = 0);

}  // namespace hailstone

template <>
struct std::hash<hailstone::Hash256> {
  size_t operator()(const hailstone::Hash256& hash) const noexcept {
    size_t out;
    std::memcpy(&out, hash.bytes.data(), sizeof out);
    return out;
  }
};
template <>
struct std::hash<hailstone::ChunkId> : std::hash<hailstone::Hash256> {};
