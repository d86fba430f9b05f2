#include "s3proto/checksum.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "s3proto/crc.h"

namespace hailstone::s3proto {
namespace {

using enum ChecksumAlgorithm;
constexpr ChecksumAlgorithm kAll[] = {Crc32, Crc32c, Crc64nvme, Sha1, Sha256, Md5};

TEST(Checksum, MatchesPublishedVectors) {
  // CRC catalogue check values of "123456789"; FIPS 180 and RFC 1321 values of "abc".
  EXPECT_EQ(to_hex(checksum(Crc32, "123456789")), "cbf43926");
  EXPECT_EQ(to_hex(checksum(Crc32c, "123456789")), "e3069283");
  EXPECT_EQ(to_hex(checksum(Crc64nvme, "123456789")), "ae8b14860a799888");
  EXPECT_EQ(to_hex(checksum(Sha1, "abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(to_hex(checksum(Sha256, "abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(checksum(Md5, "abc")), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(Checksum, OfNothingIsDefined) {
  EXPECT_EQ(to_base64(checksum(Crc32, "")), "AAAAAA==");
  EXPECT_EQ(to_base64(checksum(Crc64nvme, "")), "AAAAAAAAAAA=");
  EXPECT_EQ(to_base64(checksum(Md5, "")), "1B2M2Y8AsgTpgAmY7PhCfg==");
}

// Large enough to cross the run length of ChecksumSet and the 8-byte steps of crc64nvme.
Bytes any_bytes(size_t max) {
  const auto size = *rc::gen::inRange<size_t>(0, max);
  Bytes out(size, '\0');
  uint64_t state = *rc::gen::arbitrary<uint64_t>() | 1;
  for (char& c : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return out;
}

RC_GTEST_PROP(Checksum, InPiecesEqualsWhole, ()) {
  const Bytes bytes = any_bytes(80'000);
  ChecksumSet set;
  for (auto algorithm : kAll) set.add(algorithm);
  ByteView rest = bytes;
  while (!rest.empty()) {
    const auto piece = *rc::gen::inRange<size_t>(1, 30'000);
    set.update(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
  }
  set.finish();
  RC_ASSERT(set.bytes() == bytes.size());
  for (auto algorithm : kAll) RC_ASSERT(set.value(algorithm) == checksum(algorithm, bytes));
}

RC_GTEST_PROP(Checksum, Crc64TablesEqualTheBitwiseDefinition, ()) {
  const Bytes bytes = any_bytes(200);
  uint64_t crc = ~uint64_t{0};
  for (char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) ? kCrc64nvmePolynomial : 0);
  }
  RC_ASSERT(crc64nvme(bytes) == ~crc);
}

RC_GTEST_PROP(Checksum, CombinedPartsEqualTheWholeObject, ()) {
  const auto algorithm = *rc::gen::element(Crc32, Crc32c, Crc64nvme);
  const auto count = *rc::gen::inRange<size_t>(0, 6);
  Bytes whole;
  std::vector<Bytes> raws;
  std::vector<uint64_t> lengths;
  for (size_t i = 0; i < count; ++i) {
    const Bytes part = any_bytes(5000);
    whole += part;
    raws.push_back(checksum(algorithm, part));
    lengths.push_back(part.size());
  }
  std::vector<PartChecksum> parts;
  for (size_t i = 0; i < count; ++i) parts.push_back({raws[i], lengths[i]});
  const auto combined = combine_crc(algorithm, parts);
  RC_ASSERT(combined.has_value());
  RC_ASSERT(*combined == checksum(algorithm, whole));
}

TEST(Checksum, CompositeIsTheChecksumOfChecksums) {
  const Bytes a = checksum(Sha256, "one"), b = checksum(Sha256, "two");
  const PartChecksum parts[] = {{a, 3}, {b, 3}};
  EXPECT_EQ(*composite_checksum(Sha256, parts), to_base64(checksum(Sha256, a + b)) + "-2");
  const Bytes md5_a = checksum(Md5, "one"), md5_b = checksum(Md5, "two");
  const ByteView md5s[] = {md5_a, md5_b};
  EXPECT_EQ(*multipart_etag(md5s), to_hex(checksum(Md5, md5_a + md5_b)) + "-2");
}

TEST(Checksum, RefusesPartsOfTheWrongKind) {
  const Bytes short_one = "abc";
  const PartChecksum parts[] = {{short_one, 3}};
  EXPECT_EQ(combine_crc(Crc32, parts).error().code, ErrorCode::InvalidPart);
  EXPECT_EQ(combine_crc(Sha256, parts).error().code, ErrorCode::InvalidRequest);
  EXPECT_EQ(composite_checksum(Sha1, parts).error().code, ErrorCode::InvalidPart);
  const ByteView md5s[] = {"short"};
  EXPECT_EQ(multipart_etag(md5s).error().code, ErrorCode::InvalidPart);
}

TEST(Checksum, HeaderValuesMustHaveTheRightLength) {
  for (auto algorithm : kAll) {
    const Bytes raw = checksum(algorithm, "x");
    EXPECT_EQ(*parse_checksum(algorithm, to_base64(raw)), raw);
    const auto expected = algorithm == Md5 ? ErrorCode::InvalidDigest : ErrorCode::InvalidRequest;
    for (const std::string& bad : {std::string(), std::string("*"), to_base64(raw + "x"), to_base64(raw.substr(1)),
                                   to_hex(raw), to_base64(raw) + " "}) {
      const auto parsed = parse_checksum(algorithm, bad);
      ASSERT_FALSE(parsed) << bad;
      EXPECT_EQ(parsed.error().code, expected) << bad;
    }
  }
}

TEST(Checksum, NamesAreRecognisedInAnyCase) {
  EXPECT_EQ(*parse_checksum_algorithm("crc64nvme"), Crc64nvme);
  EXPECT_EQ(*parse_checksum_algorithm("SHA256"), Sha256);
  EXPECT_EQ(parse_checksum_algorithm("MD5").error().code, ErrorCode::InvalidRequest);
  EXPECT_EQ(checksum_of_header("X-Amz-Checksum-CRC32C"), Crc32c);
  EXPECT_EQ(checksum_of_header("x-amz-checksum-type"), std::nullopt);
  EXPECT_EQ(checksum_of_header("content-md5"), std::nullopt);
}

TEST(Checksum, TypeOfMultipartFollowsTheAlgorithm) {
  using enum ChecksumType;
  EXPECT_EQ(*multipart_checksum_type(Crc64nvme, std::nullopt), FullObject);
  EXPECT_EQ(*multipart_checksum_type(Crc32, std::nullopt), Composite);
  EXPECT_EQ(*multipart_checksum_type(Crc32, FullObject), FullObject);
  EXPECT_FALSE(multipart_checksum_type(Crc64nvme, Composite));
  EXPECT_FALSE(multipart_checksum_type(Sha256, FullObject));
}

}  // namespace
}  // namespace hailstone::s3proto
