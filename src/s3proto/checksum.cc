#include "s3proto/checksum.h"

#include <fmt/format.h>
#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <variant>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "http/grammar.h"
#include "s3proto/crc.h"

namespace hailstone::s3proto {
namespace {

struct Row {
  ChecksumAlgorithm algorithm;
  std::string_view name, header, element;
  size_t bytes;
};
using enum ChecksumAlgorithm;
constexpr std::array<Row, kChecksumAlgorithmCount> kTable{{
    {Crc32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4},
    {Crc32c, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4},
    {Crc64nvme, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8},
    {Sha1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20},
    {Sha256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32},
    {Md5, "MD5", "content-md5", "ChecksumMD5", 16},
}};
const Row& row(ChecksumAlgorithm algorithm) { return kTable[static_cast<size_t>(algorithm)]; }

template <std::unsigned_integral T>
Bytes big_endian(T value) {
  Bytes out(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) out[sizeof(T) - 1 - i] = static_cast<char>(value >> (8 * i));
  return out;
}

template <std::unsigned_integral T>
T from_big_endian(ByteView bytes) {
  T value = 0;
  for (char c : bytes) value = static_cast<T>(value << 8 | static_cast<unsigned char>(c));
  return value;
}

constexpr auto kCrc64Tables = slice_tables(kCrc64nvmePolynomial);

// Small enough that bytes read by the first algorithm are still in the L1 cache for the last.
constexpr size_t kRunBytes = 16u << 10;

}  // namespace

std::string_view checksum_name(ChecksumAlgorithm algorithm) { return row(algorithm).name; }
std::string_view checksum_header(ChecksumAlgorithm algorithm) { return row(algorithm).header; }
std::string_view checksum_element(ChecksumAlgorithm algorithm) { return row(algorithm).element; }
std::string_view checksum_type_name(ChecksumType type) {
  return type == ChecksumType::FullObject ? "FULL_OBJECT" : "COMPOSITE";
}
size_t checksum_bytes(ChecksumAlgorithm algorithm) { return row(algorithm).bytes; }
bool is_crc(ChecksumAlgorithm algorithm) { return algorithm <= Crc64nvme; }

Parsed<ChecksumAlgorithm> parse_checksum_algorithm(std::string_view text) {
  for (ChecksumAlgorithm algorithm : kHeaderChecksums)
    if (http::same_text(text, checksum_name(algorithm))) return algorithm;
  return refuse(ErrorCode::InvalidRequest,
                fmt::format("Checksum algorithm provided is unsupported: '{}'. Please try again with any of the valid "
                            "types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
                            printable(text)));
}

Parsed<ChecksumType> parse_checksum_type(std::string_view text) {
  for (ChecksumType type : {ChecksumType::FullObject, ChecksumType::Composite})
    if (http::same_text(text, checksum_type_name(type))) return type;
  return refuse(ErrorCode::InvalidRequest,
                fmt::format("Value for x-amz-checksum-type header is invalid: '{}'", printable(text)));
}

std::optional<ChecksumAlgorithm> checksum_of_header(std::string_view header_name) {
  for (ChecksumAlgorithm algorithm : kHeaderChecksums)
    if (http::same_text(header_name, checksum_header(algorithm))) return algorithm;
  return std::nullopt;
}

Parsed<Bytes> parse_checksum(ChecksumAlgorithm algorithm, std::string_view base64) {
  Bytes raw;
  if (from_base64(base64, raw) && raw.size() == checksum_bytes(algorithm)) return raw;
  if (algorithm == Md5)
    return refuse(ErrorCode::InvalidDigest, fmt::format("The Content-MD5 '{}' is not valid.", printable(base64)));
  return refuse(ErrorCode::InvalidRequest,
                fmt::format("Value for {} header is invalid: '{}'", checksum_header(algorithm), printable(base64)));
}

Parsed<ChecksumType> multipart_checksum_type(ChecksumAlgorithm algorithm, std::optional<ChecksumType> asked) {
  const bool full = algorithm == Crc64nvme;
  const bool either = algorithm == Crc32 || algorithm == Crc32c;
  const ChecksumType usual = full ? ChecksumType::FullObject : ChecksumType::Composite;
  if (!asked || *asked == usual || either) return asked.value_or(usual);
  return refuse(ErrorCode::InvalidRequest,
                fmt::format("The {} checksum type cannot be used with the {} checksum algorithm.",
                            checksum_type_name(*asked), checksum_name(algorithm)));
}

uint64_t crc64nvme(ByteView bytes, uint64_t seed) {
  uint64_t crc = ~seed;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    crc ^= word;
    crc = kCrc64Tables[7][crc & 0xff] ^ kCrc64Tables[6][crc >> 8 & 0xff] ^ kCrc64Tables[5][crc >> 16 & 0xff] ^
          kCrc64Tables[4][crc >> 24 & 0xff] ^ kCrc64Tables[3][crc >> 32 & 0xff] ^ kCrc64Tables[2][crc >> 40 & 0xff] ^
          kCrc64Tables[1][crc >> 48 & 0xff] ^ kCrc64Tables[0][crc >> 56];
  }
  for (; left > 0; --left, ++at) crc = (crc >> 8) ^ kCrc64Tables[0][(crc ^ static_cast<unsigned char>(*at)) & 0xff];
  return ~crc;
}

uint32_t crc32(ByteView bytes, uint32_t seed) {
  return crc32_gzip_refl(seed, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

struct ChecksumSet::Digest {
  ChecksumAlgorithm algorithm;
  uint64_t crc = 0;
  EVP_MD_CTX* evp = nullptr;
  Bytes value;

  explicit Digest(ChecksumAlgorithm which) : algorithm(which) {
    if (is_crc(which)) return;
    evp = EVP_MD_CTX_new();
    const EVP_MD* kind = which == Sha1 ? EVP_sha1() : which == Sha256 ? EVP_sha256() : EVP_md5();
    CHECK(EVP_DigestInit_ex(evp, kind, nullptr) == 1);
  }
  ~Digest() { EVP_MD_CTX_free(evp); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(ByteView bytes) {
    switch (algorithm) {
      case Crc32: crc = crc32(bytes, static_cast<uint32_t>(crc)); return;
      case Crc32c: crc = crc32c(bytes, static_cast<uint32_t>(crc)); return;
      case Crc64nvme: crc = crc64nvme(bytes, crc); return;
      default: CHECK(EVP_DigestUpdate(evp, bytes.data(), bytes.size()) == 1);
    }
  }
  void finish() {
    if (evp == nullptr) {
      value = algorithm == Crc64nvme ? big_endian(crc) : big_endian(static_cast<uint32_t>(crc));
      return;
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    CHECK(EVP_DigestFinal_ex(evp, digest, &length) == 1);
    value.assign(reinterpret_cast<const char*>(digest), length);
  }
};

ChecksumSet::ChecksumSet() = default;
ChecksumSet::~ChecksumSet() = default;
ChecksumSet::ChecksumSet(ChecksumSet&&) noexcept = default;
ChecksumSet& ChecksumSet::operator=(ChecksumSet&&) noexcept = default;

void ChecksumSet::add(ChecksumAlgorithm algorithm) {
  CHECK(bytes_ == 0 && !finished_);
  auto& digest = digests_[static_cast<size_t>(algorithm)];
  if (!digest) digest = std::make_unique<Digest>(algorithm);
}

bool ChecksumSet::has(ChecksumAlgorithm algorithm) const { return digests_[static_cast<size_t>(algorithm)] != nullptr; }

void ChecksumSet::update(ByteView bytes) {
  CHECK(!finished_);
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ByteView run = bytes.substr(0, kRunBytes);
    for (const auto& digest : digests_)
      if (digest) digest->update(run);
    bytes.remove_prefix(run.size());
  }
}

void ChecksumSet::finish() {
  CHECK(!finished_);
  finished_ = true;
  for (const auto& digest : digests_)
    if (digest) digest->finish();
}

const Bytes& ChecksumSet::value(ChecksumAlgorithm algorithm) const {
  CHECK(finished_ && has(algorithm));
  return digests_[static_cast<size_t>(algorithm)]->value;
}

Bytes checksum(ChecksumAlgorithm algorithm, ByteView bytes) {
  ChecksumSet set;
  set.add(algorithm);
  set.update(bytes);
  set.finish();
  return set.value(algorithm);
}

namespace {

Parsed<void> check_length(ChecksumAlgorithm algorithm, size_t index, ByteView raw) {
  if (raw.size() == checksum_bytes(algorithm)) return {};
  return refuse(ErrorCode::InvalidPart,
                fmt::format("part {} of the list: its {} checksum has {} bytes, not {}", index + 1,
                            checksum_name(algorithm), raw.size(), checksum_bytes(algorithm)));
}

template <std::unsigned_integral T>
Bytes combine_all(std::span<const PartChecksum> parts, T polynomial) {
  T crc = 0;
  for (const PartChecksum& part : parts) crc = combine(crc, from_big_endian<T>(part.raw), part.length, polynomial);
  return big_endian(crc);
}

}  // namespace

Parsed<Bytes> combine_crc(ChecksumAlgorithm algorithm, std::span<const PartChecksum> parts) {
  if (!is_crc(algorithm))
    return refuse(ErrorCode::InvalidRequest,
                  fmt::format("{} checksums of parts do not combine to one of the object", checksum_name(algorithm)));
  for (size_t i = 0; i < parts.size(); ++i) TRY_DO(check_length(algorithm, i, parts[i].raw));
  if (algorithm == Crc64nvme) return combine_all(parts, kCrc64nvmePolynomial);
  return combine_all(parts, algorithm == Crc32 ? kCrc32Polynomial : kCrc32cPolynomial);
}

Parsed<std::string> composite_checksum(ChecksumAlgorithm algorithm, std::span<const PartChecksum> parts) {
  Bytes all;
  for (size_t i = 0; i < parts.size(); ++i) {
    TRY_DO(check_length(algorithm, i, parts[i].raw));
    all += parts[i].raw;
  }
  return fmt::format("{}-{}", to_base64(checksum(algorithm, all)), parts.size());
}

Parsed<std::string> multipart_etag(std::span<const ByteView> part_md5s) {
  Bytes all;
  for (size_t i = 0; i < part_md5s.size(); ++i) {
    TRY_DO(check_length(Md5, i, part_md5s[i]));
    all += part_md5s[i];
  }
  return fmt::format("{}-{}", to_hex(checksum(Md5, all)), part_md5s.size());
}

}  // namespace hailstone::s3proto
