// ListObjects, ListObjectsV2, ListObjectVersions, ListBuckets.
#pragma once

#include "s3/objects.h"

namespace hailstone::s3 {

Answer<http::Response> list_objects(const Call& call);
Answer<http::Response> list_objects_v2(const Call& call);
Answer<http::Response> list_object_versions(const Call& call);
Answer<http::Response> list_buckets(const Call& call);

/// A continuation token: where a listing goes on, and in which release it must. Opaque to clients.
struct ContinuationToken {
  ReleaseNumber release;  // 0: a head's or draft's
  Bytes after;            // last key or common prefix shown
  std::string encode() const;
  /// InvalidArgument for anything this server did not make.
  static Answer<ContinuationToken> decode(std::string_view text);
};

}  // namespace hailstone::s3
