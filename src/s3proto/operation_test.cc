#include "s3proto/operation.h"

#include <gmock/gmock.h>

#include <set>

namespace hailstone::s3proto {
namespace {

using http::Method;

// "GET b/k ?query" -> operation's name, or error's.
std::string routed(Method method, std::string bucket, std::string key, std::string_view query, bool copy = false) {
  const auto parsed = Query::parse(query);
  if (!parsed) return std::string(error_name(parsed.error().code));
  const auto operation = route(method, {std::move(bucket), std::move(key), AddressStyle::Path}, *parsed, copy);
  return std::string(operation ? operation_name(*operation) : error_name(operation.error().code));
}

struct Case {
  Method method;
  std::string bucket, key, query, expected;
  bool copy = false;
};

TEST(Operation, FollowsMethodLevelAndSubresource) {
  const Case table[] = {
      {Method::Get, "", "", "", "ListBuckets"},
      {Method::Put, "", "", "", "MethodNotAllowed"},
      {Method::Get, "", "", "acl", "MethodNotAllowed"},
      {Method::Get, "b", "", "", "ListObjects"},
      {Method::Get, "b", "", "list-type=2&prefix=x", "ListObjectsV2"},
      {Method::Get, "b", "", "list-type=1", "InvalidArgument"},
      {Method::Head, "b", "", "", "HeadBucket"},
      {Method::Put, "b", "", "", "CreateBucket"},
      {Method::Delete, "b", "", "", "DeleteBucket"},
      {Method::Post, "b", "", "", "PostObject"},
      {Method::Post, "b", "", "delete", "DeleteObjects"},
      {Method::Get, "b", "", "versions&prefix=a", "ListObjectVersions"},
      {Method::Get, "b", "", "uploads", "ListMultipartUploads"},
      {Method::Get, "b", "", "logging", "GetBucketLogging"},
      {Method::Put, "b", "", "policy", "PutBucketPolicy"},
      {Method::Delete, "b", "", "lifecycle", "DeleteBucketLifecycle"},
      {Method::Delete, "b", "", "versioning", "MethodNotAllowed"},
      {Method::Get, "b", "", "inventory", "ListBucketInventoryConfigurations"},
      {Method::Get, "b", "", "inventory&id=x", "GetBucketInventoryConfiguration"},
      {Method::Get, "b", "", "torrent", "MethodNotAllowed"},
      {Method::Get, "b", "", "acl&policy", "InvalidArgument"},
      {Method::Get, "b", "k", "", "GetObject"},
      {Method::Get, "b", "k", "partNumber=2", "GetObject"},
      {Method::Get, "b", "k", "x-id=GetObject&response-content-type=a", "GetObject"},
      {Method::Head, "b", "k", "versionId=1", "HeadObject"},
      {Method::Head, "b", "k", "acl", "MethodNotAllowed"},
      {Method::Put, "b", "k", "", "PutObject"},
      {Method::Put, "b", "k", "", "CopyObject", true},
      {Method::Put, "b", "k", "partNumber=1&uploadId=u", "UploadPart"},
      {Method::Put, "b", "k", "partNumber=1&uploadId=u", "UploadPartCopy", true},
      {Method::Put, "b", "k", "uploadId=u", "InvalidArgument"},
      {Method::Put, "b", "k", "partNumber=1", "InvalidArgument"},
      {Method::Put, "b", "k", "partNumber=1&acl", "MethodNotAllowed"},
      {Method::Put, "b", "k", "policy", "MethodNotAllowed"},
      {Method::Get, "b", "k", "policy", "MethodNotAllowed"},
      {Method::Get, "b", "k", "uploads", "MethodNotAllowed"},
      {Method::Put, "b", "k", "uploads", "MethodNotAllowed"},
      {Method::Post, "b", "k", "uploads", "CreateMultipartUpload"},
      {Method::Post, "b", "k", "uploadId=u", "CompleteMultipartUpload"},
      {Method::Delete, "b", "k", "uploadId=u", "AbortMultipartUpload"},
      {Method::Delete, "b", "k", "uploadId", "NoSuchUpload"},
      {Method::Get, "b", "k", "uploadId=u", "ListParts"},
      {Method::Post, "b", "k", "select&select-type=2", "SelectObjectContent"},
      {Method::Post, "b", "k", "", "MethodNotAllowed"},
      {Method::Delete, "b", "k", "tagging", "DeleteObjectTagging"},
      {Method::Get, "b", "k", "attributes", "GetObjectAttributes"},
      {Method::Options, "b", "k", "", "PreflightRequest"},
      {Method::Patch, "b", "k", "", "MethodNotAllowed"},
  };
  for (const Case& c : table)
    EXPECT_EQ(routed(c.method, c.bucket, c.key, c.query, c.copy), c.expected)
        << static_cast<int>(c.method) << " " << c.bucket << "/" << c.key << "?" << c.query;
}

TEST(Operation, NoSubresourceFallsThroughToTheObjectItself) {
  const std::set<std::string> plain = {"GetObject",   "PutObject",    "CopyObject",   "DeleteObject", "HeadObject",
                                       "ListObjects", "CreateBucket", "DeleteBucket", "HeadBucket",   "PostObject"};
  for (const char* name : {"accelerate",
                           "acl",
                           "analytics",
                           "attributes",
                           "cors",
                           "delete",
                           "encryption",
                           "intelligent-tiering",
                           "inventory",
                           "legal-hold",
                           "lifecycle",
                           "location",
                           "logging",
                           "metadataTable",
                           "metrics",
                           "notification",
                           "object-lock",
                           "ownershipControls",
                           "policy",
                           "policyStatus",
                           "publicAccessBlock",
                           "renameObject",
                           "replication",
                           "requestPayment",
                           "restore",
                           "retention",
                           "select",
                           "session",
                           "tagging",
                           "torrent",
                           "uploads",
                           "versioning",
                           "versions",
                           "website"})
    for (Method method : {Method::Get, Method::Head, Method::Put, Method::Post, Method::Delete})
      for (std::string key : {"", "k"})
        EXPECT_FALSE(plain.contains(routed(method, "b", key, name))) << name << " " << static_cast<int>(method);
}

TEST(Operation, NamesAreTheEnumeratorsInOrder) {
  EXPECT_EQ(operation_name(Operation::AbortMultipartUpload), "AbortMultipartUpload");
  EXPECT_EQ(operation_name(Operation::ListObjectsV2), "ListObjectsV2");
  EXPECT_EQ(operation_name(Operation::UploadPartCopy), "UploadPartCopy");
  EXPECT_EQ(not_implemented(Operation::GetBucketLogging).error().message, "GetBucketLogging is not implemented");
}

}  // namespace
}  // namespace hailstone::s3proto
