// Answers of S3 operations as values, and their XML; lists are rendered straight into the buffer that is sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3proto/checksum.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {

struct Owner {
  std::string id;
  std::string display_name;
  bool operator==(const Owner&) const = default;
};
void append_owner(XmlWriter& xml, std::string_view element, const Owner& owner);

/// An object's or part's checksum as answers show it: base64, composites with their "-N".
struct ShownChecksum {
  ChecksumAlgorithm algorithm = ChecksumAlgorithm::Crc64nvme;
  std::string value;
  std::optional<ChecksumType> type;  // of objects only
};

struct ListAllMyBuckets {
  struct Bucket {
    std::string name;
    UnixMicros created;
    std::string region;  // empty: not shown
  };
  Owner owner;
  std::vector<Bucket> buckets;
  std::optional<std::string> prefix;
  std::string continuation_token;  // empty: the last page
};
Bytes render(const ListAllMyBuckets& answer);

/// ETags here and below are without quotes.
struct ListedObject {
  std::string key;
  UnixMicros modified;
  std::string etag;
  uint64_t size = 0;
  std::string_view storage_class = "STANDARD";
  std::optional<Owner> owner;
  std::optional<ChecksumAlgorithm> checksum;
  std::optional<ChecksumType> checksum_type;
};

/// What the listings of objects share.
struct Listing {
  std::string bucket;
  std::string prefix;
  std::string delimiter;
  uint32_t keys_max = 1000;
  KeyEncoding encoding = KeyEncoding::None;
  bool truncated = false;
  std::vector<ListedObject> objects;
  std::vector<std::string> common_prefixes;
};

struct ListObjectsAnswer {
  Listing listing;
  std::string marker;
  std::string next_marker;  // shown when truncated and a delimiter was asked for
};
Bytes render(const ListObjectsAnswer& answer);

struct ListObjectsV2Answer {
  Listing listing;
  std::string start_after;
  std::optional<std::string> continuation_token;
  std::string next_continuation_token;  // shown when truncated
};
Bytes render(const ListObjectsV2Answer& answer);

struct ListedVersion {
  ListedObject object;  // of a delete marker: key, modified and owner
  std::string version_id;
  bool latest = false;
  bool delete_marker = false;
};
struct ListVersionsAnswer {
  std::string bucket, prefix, delimiter;
  uint32_t keys_max = 1000;
  KeyEncoding encoding = KeyEncoding::None;
  bool truncated = false;
  std::string key_marker, version_id_marker;
  std::string next_key_marker, next_version_id_marker;  // shown when truncated
  std::vector<ListedVersion> versions;                  // by key, newest first
  std::vector<std::string> common_prefixes;
};
Bytes render(const ListVersionsAnswer& answer);

struct ListedUpload {
  std::string key, upload_id;
  UnixMicros initiated;
  Owner initiator, owner;
  std::string_view storage_class = "STANDARD";
  std::optional<ChecksumAlgorithm> checksum;
  std::optional<ChecksumType> checksum_type;
};
struct ListMultipartUploadsAnswer {
  std::string bucket, prefix, delimiter;
  uint32_t uploads_max = 1000;
  KeyEncoding encoding = KeyEncoding::None;
  bool truncated = false;
  std::string key_marker, upload_id_marker;
  std::string next_key_marker, next_upload_id_marker;  // shown when truncated
  std::vector<ListedUpload> uploads;
  std::vector<std::string> common_prefixes;
};
Bytes render(const ListMultipartUploadsAnswer& answer);

struct ListedPart {
  uint32_t number = 0;
  UnixMicros modified;
  std::string etag;
  uint64_t size = 0;
  std::optional<ShownChecksum> checksum;
};
struct ListPartsAnswer {
  std::string bucket, key, upload_id;
  Owner initiator, owner;
  std::string_view storage_class = "STANDARD";
  uint32_t marker = 0, next_marker = 0, parts_max = 1000;
  bool truncated = false;
  KeyEncoding encoding = KeyEncoding::None;
  std::optional<ChecksumAlgorithm> checksum;
  std::optional<ChecksumType> checksum_type;
  std::vector<ListedPart> parts;
};
Bytes render(const ListPartsAnswer& answer);

struct InitiateMultipartUploadAnswer {
  std::string bucket, key, upload_id;
};
Bytes render(const InitiateMultipartUploadAnswer& answer);

struct CompleteMultipartUploadAnswer {
  std::string location, bucket, key, etag;
  std::optional<ShownChecksum> checksum;
};
Bytes render(const CompleteMultipartUploadAnswer& answer);

struct CopyAnswer {
  std::string etag;
  UnixMicros modified;
  std::optional<ShownChecksum> checksum;
};
Bytes render_copy_object(const CopyAnswer& answer);
Bytes render_copy_part(const CopyAnswer& answer);

struct DeletedObject {
  std::string key;
  std::string version_id;      // as asked; empty: none
  bool delete_marker = false;  // one was made, or the version removed was one
  std::string delete_marker_version_id;
};
struct DeleteError {
  std::string key, version_id;
  Failure failure;
};
struct DeleteAnswer {
  std::vector<DeletedObject> deleted;  // leave empty when the request was quiet
  std::vector<DeleteError> errors;
};
Bytes render(const DeleteAnswer& answer);

/// "us-east-1" is shown as the empty location, as S3 does.
Bytes render_location(std::string_view region);

/// Only what was asked for is set.
struct ObjectAttributesAnswer {
  struct Parts {
    uint32_t total = 0, marker = 0, next_marker = 0, parts_max = 1000;
    bool truncated = false;
    std::vector<ListedPart> parts;  // number, size and checksum are shown
  };
  std::optional<std::string> etag;
  std::optional<ShownChecksum> checksum;
  std::optional<Parts> parts;
  std::optional<std::string> storage_class;
  std::optional<uint64_t> size;
};
Bytes render(const ObjectAttributesAnswer& answer);

/// Of a form upload that asked for status 201.
struct PostAnswer {
  std::string location, bucket, key, etag;
};
Bytes render(const PostAnswer& answer);

}  // namespace hailstone::s3proto
