// Checksums of S3 requests and objects: CRC32, CRC32C, CRC64NVME, SHA-1, SHA-256 and MD5; whole, of parts, combined.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

/// Md5 is Content-MD5's and the ETag's; the others have an x-amz-checksum- header each. The numbers are stored.
enum class ChecksumAlgorithm : uint8_t { Crc32 = 0, Crc32c = 1, Crc64nvme = 2, Sha1 = 3, Sha256 = 4, Md5 = 5 };
inline constexpr size_t kChecksumAlgorithmCount = 6;
/// Those with a header of their own.
inline constexpr std::array kHeaderChecksums = {ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c,
                                                ChecksumAlgorithm::Crc64nvme, ChecksumAlgorithm::Sha1,
                                                ChecksumAlgorithm::Sha256};

/// Of a multipart object: over its bytes, or over its parts' checksums. The numbers are stored.
enum class ChecksumType : uint8_t { FullObject = 0, Composite = 1 };

std::string_view checksum_name(ChecksumAlgorithm algorithm);     // "CRC64NVME"
std::string_view checksum_header(ChecksumAlgorithm algorithm);   // "x-amz-checksum-crc64nvme"; "content-md5"
std::string_view checksum_element(ChecksumAlgorithm algorithm);  // "ChecksumCRC64NVME"
std::string_view checksum_type_name(ChecksumType type);          // "FULL_OBJECT", "COMPOSITE"
size_t checksum_bytes(ChecksumAlgorithm algorithm);              // before base64
bool is_crc(ChecksumAlgorithm algorithm);

/// Value of x-amz-checksum-algorithm or x-amz-sdk-checksum-algorithm, any case. InvalidRequest for another.
Parsed<ChecksumAlgorithm> parse_checksum_algorithm(std::string_view text);
/// Value of x-amz-checksum-type. InvalidRequest for another.
Parsed<ChecksumType> parse_checksum_type(std::string_view text);
/// "x-amz-checksum-crc32" (any case) -> Crc32; nothing for any other header.
std::optional<ChecksumAlgorithm> checksum_of_header(std::string_view header_name);
/// Base64 of exactly checksum_bytes() -> raw bytes. InvalidRequest names the header; InvalidDigest for Content-MD5.
Parsed<Bytes> parse_checksum(ChecksumAlgorithm algorithm, std::string_view base64);
/// Which type a multipart upload has when its creator didn't say, and whether he may say so: CRC64NVME is always
/// FULL_OBJECT, SHA-1 and SHA-256 always COMPOSITE, CRC32 and CRC32C either (COMPOSITE by default). InvalidRequest.
Parsed<ChecksumType> multipart_checksum_type(ChecksumAlgorithm algorithm, std::optional<ChecksumType> asked);

/// CRC-64/NVME (reflected, polynomial ad93d23594c93659). `seed` continues an earlier result.
/// crc64nvme("123456789") == 0xae8b14860a799888.
uint64_t crc64nvme(ByteView bytes, uint64_t seed = 0);
/// CRC-32 of zlib and gzip.
uint32_t crc32(ByteView bytes, uint32_t seed = 0);

/// Several checksums of the same bytes, in one pass over them. update() any number of times, then finish() once.
class ChecksumSet {
 public:
  ChecksumSet();
  ~ChecksumSet();
  ChecksumSet(ChecksumSet&&) noexcept;
  ChecksumSet& operator=(ChecksumSet&&) noexcept;

  /// Before the first update(). Adding one twice changes nothing.
  void add(ChecksumAlgorithm algorithm);
  bool has(ChecksumAlgorithm algorithm) const;
  void update(ByteView bytes);
  void finish();
  /// Raw bytes (CRCs big-endian) after finish(), of an algorithm that was added.
  const Bytes& value(ChecksumAlgorithm algorithm) const;
  uint64_t bytes() const { return bytes_; }

 private:
  struct Digest;
  std::array<std::unique_ptr<Digest>, kChecksumAlgorithmCount> digests_;
  uint64_t bytes_ = 0;
  bool finished_ = false;
};

/// Raw checksum of `bytes`.
Bytes checksum(ChecksumAlgorithm algorithm, ByteView bytes);

struct PartChecksum {
  ByteView raw;         // checksum_bytes() of them, else InvalidPart
  uint64_t length = 0;  // bytes of the part
};

/// CRC of the concatenated parts from theirs, without their bytes. CRC algorithms only (InvalidRequest otherwise).
Parsed<Bytes> combine_crc(ChecksumAlgorithm algorithm, std::span<const PartChecksum> parts);
/// Checksum of the concatenated raw checksums, in base64: "AAAAAA==-3".
Parsed<std::string> composite_checksum(ChecksumAlgorithm algorithm, std::span<const PartChecksum> parts);
/// ETag of a multipart object without quotes, "hex-N", from the raw MD5s (16 bytes each, else InvalidPart) of its
/// parts.
Parsed<std::string> multipart_etag(std::span<const ByteView> part_md5s);

}  // namespace hailstone::s3proto
