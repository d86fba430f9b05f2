// Reading objects: GET, HEAD, attributes, tags, ACLs, locks. Everything here may read the disk, nothing waits for
// commits.
#pragma once

#include "s3/access.h"

namespace hailstone::s3 {

struct Object {
  volume::Entry entry;
  Bytes version;  // id; empty in buckets that never kept versions
};

/// The object a request names, its version too. NoSuchKey, NoSuchVersion; MethodNotAllowed or NoSuchKey on a delete
/// marker, with its headers. Checked by authorize() with `need`: who may not list a bucket learns 403, not 404.
Answer<Object> find_object(const Call& call, const Need& need);
/// The same of any bucket's key (copy sources).
Answer<Object> find_object_in(const Call& call, const Bucket& bucket, const std::string& key,
                              std::optional<std::string_view> version, const Need& need);

Answer<http::Response> get_object(const Call& call);  // HEAD too
Answer<http::Response> get_object_attributes(const Call& call);
Answer<http::Response> get_object_tagging(const Call& call);
Answer<http::Response> get_object_acl(const Call& call);
Answer<http::Response> get_object_retention(const Call& call);
Answer<http::Response> get_object_legal_hold(const Call& call);

/// Parts of a multipart object as kept in ObjectFacts::parts.
struct StoredPart {
  uint64_t bytes = 0;
  Bytes checksum;  // raw; empty: none
};
Bytes encode_parts(const std::vector<StoredPart>& parts);
Result<std::vector<StoredPart>> read_parts(chunk::ChunkStore& store, const volume::ObjectFacts& facts);

/// The checksum an entry keeps, as answers show it.
std::optional<s3proto::ShownChecksum> shown_checksum(const volume::Entry& entry);
/// x-amz-expiration, where a lifecycle rule will expire the call's object.
void add_expiration(const Call& call, const volume::Entry& entry, http::HeaderBlock& headers);
void add_object_headers(const Call& call, const Object& object, http::HeaderBlock& headers);

/// If-Match and its kin as S3 has them (dates compare, they need not be equal), on GET and HEAD. Nothing: go on.
std::optional<Refused> check_conditions(std::optional<std::string_view> if_match,
                                        std::optional<std::string_view> if_none_match,
                                        std::optional<std::string_view> if_modified,
                                        std::optional<std::string_view> if_unmodified, const Bytes& etag,
                                        int64_t modified_seconds);

http::Response xml_response(Bytes body, int status = 200);

}  // namespace hailstone::s3
