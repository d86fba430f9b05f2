// Buckets themselves: made, removed, and their configuration documents.
#pragma once

#include "s3/objects.h"

namespace hailstone::s3 {

Answer<http::Response> create_bucket(const Call& call, const s3proto::BucketName& name, ByteView document);
Answer<http::Response> delete_bucket(const Call& call);
Answer<http::Response> head_bucket(const Call& call);

/// GET, PUT and DELETE of sub-resources with a document; NotImplemented for those that are not built.
Answer<http::Response> get_bucket_document(const Call& call);
Answer<http::Response> put_bucket_document(const Call& call, ByteView document);
Answer<http::Response> delete_bucket_document(const Call& call);

}  // namespace hailstone::s3
