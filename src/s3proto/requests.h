// Documents that S3 clients send, parsed to values with every rule checked; the larger ones have headers of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3proto/acl.h"
#include "s3proto/checksum.h"
#include "s3proto/cors.h"
#include "s3proto/errors.h"
#include "s3proto/lifecycle.h"
#include "s3proto/policy.h"
#include "s3proto/settings.h"
#include "s3proto/tagging.h"

namespace hailstone::s3proto {

inline constexpr uint32_t kPartNumberMax = 10'000;
inline constexpr size_t kDeleteKeysMax = 1000;

/// "\"abc\"" or "abc" -> "abc"; how ETags are compared.
std::string unquoted_etag(std::string_view etag);

struct CompletedPart {
  uint32_t number = 0;  // 1..10000, rising
  std::string etag;     // without quotes
  struct Checksum {
    ChecksumAlgorithm algorithm;
    Bytes raw;
    bool operator==(const Checksum&) const = default;
  };
  std::optional<Checksum> checksum;
  bool operator==(const CompletedPart&) const = default;
};
/// At least one part. MalformedXML, InvalidPartOrder, InvalidArgument (a part number out of range).
Parsed<std::vector<CompletedPart>> parse_complete_multipart_upload(ByteView body);

struct DeleteRequest {
  struct Object {
    std::string key;
    std::optional<std::string> version_id;
    std::optional<std::string> etag;  // delete only if it has this one; without quotes, or "*"
    std::optional<uint64_t> size;     // likewise
    bool operator==(const Object&) const = default;
  };
  bool quiet = false;
  std::vector<Object> objects;  // 1..1000, in the order sent
  bool operator==(const DeleteRequest&) const = default;
};
/// MalformedXML also for more than 1000 keys and for a key that cannot be one.
Parsed<DeleteRequest> parse_delete(ByteView body);

struct CreateBucketRequest {
  std::string location;  // LocationConstraint; empty: none
  Tags tags;
  bool operator==(const CreateBucketRequest&) const = default;
};
/// A CreateBucketConfiguration; an empty body asks for nothing. NotImplemented for directory buckets; InvalidTag.
Parsed<CreateBucketRequest> parse_create_bucket(ByteView body);

/// Value of x-amz-object-attributes: what to answer. InvalidArgument for an unknown one or none.
struct ObjectAttributes {
  bool etag = false, checksum = false, parts = false, storage_class = false, size = false;
  bool operator==(const ObjectAttributes&) const = default;
};
Parsed<ObjectAttributes> parse_object_attributes(std::string_view header);

}  // namespace hailstone::s3proto
