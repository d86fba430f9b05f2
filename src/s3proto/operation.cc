#include "s3proto/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"

namespace hailstone::s3proto {
namespace {

using enum Operation;

constexpr std::array<std::string_view, kOperationCount> kNames = {
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateBucketMetadataConfiguration",
    "CreateBucketMetadataTableConfiguration",
    "CreateMultipartUpload",
    "CreateSession",
    "DeleteBucket",
    "DeleteBucketAnalyticsConfiguration",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration",
    "DeleteBucketLifecycle",
    "DeleteBucketMetadataConfiguration",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketReplication",
    "DeleteBucketTagging",
    "DeleteBucketWebsite",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "GetBucketAbac",
    "GetBucketAccelerateConfiguration",
    "GetBucketAcl",
    "GetBucketAnalyticsConfiguration",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketMetadataConfiguration",
    "GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketReplication",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PostObject",
    "PreflightRequest",
    "PutBucketAbac",
    "PutBucketAccelerateConfiguration",
    "PutBucketAcl",
    "PutBucketAnalyticsConfiguration",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketMetricsConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketReplication",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "RenameObject",
    "RestoreObject",
    "SelectObjectContent",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration",
    "UpdateObjectEncryption",
    "UploadPart",
    "UploadPartCopy",
};

enum class Level : uint8_t { Bucket, Object };

// What a sub-resource means to each method; nothing: MethodNotAllowed.
struct Row {
  Level level;
  std::string_view subresource;
  std::optional<Operation> get, put, erase, post;
};

constexpr auto kNone = std::nullopt;
constexpr Row kTable[] = {
    {Level::Bucket, "accelerate", GetBucketAccelerateConfiguration, PutBucketAccelerateConfiguration, kNone, kNone},
    {Level::Bucket, "abac", GetBucketAbac, PutBucketAbac, kNone, kNone},
    {Level::Bucket, "acl", GetBucketAcl, PutBucketAcl, kNone, kNone},
    {Level::Bucket, "analytics", GetBucketAnalyticsConfiguration, PutBucketAnalyticsConfiguration,
     DeleteBucketAnalyticsConfiguration, kNone},
    {Level::Bucket, "cors", GetBucketCors, PutBucketCors, DeleteBucketCors, kNone},
    {Level::Bucket, "delete", kNone, kNone, kNone, DeleteObjects},
    {Level::Bucket, "encryption", GetBucketEncryption, PutBucketEncryption, DeleteBucketEncryption, kNone},
    {Level::Bucket, "intelligent-tiering", GetBucketIntelligentTieringConfiguration,
     PutBucketIntelligentTieringConfiguration, DeleteBucketIntelligentTieringConfiguration, kNone},
    {Level::Bucket, "inventory", GetBucketInventoryConfiguration, PutBucketInventoryConfiguration,
     DeleteBucketInventoryConfiguration, kNone},
    {Level::Bucket, "lifecycle", GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration,
     DeleteBucketLifecycle, kNone},
    {Level::Bucket, "location", GetBucketLocation, kNone, kNone, kNone},
    {Level::Bucket, "logging", GetBucketLogging, PutBucketLogging, kNone, kNone},
    {Level::Bucket, "metadataConfiguration", GetBucketMetadataConfiguration, kNone, DeleteBucketMetadataConfiguration,
     CreateBucketMetadataConfiguration},
    {Level::Bucket, "metadataInventoryTable", kNone, UpdateBucketMetadataInventoryTableConfiguration, kNone, kNone},
    {Level::Bucket, "metadataJournalTable", kNone, UpdateBucketMetadataJournalTableConfiguration, kNone, kNone},
    {Level::Bucket, "metadataTable", GetBucketMetadataTableConfiguration, kNone, DeleteBucketMetadataTableConfiguration,
     CreateBucketMetadataTableConfiguration},
    {Level::Bucket, "metrics", GetBucketMetricsConfiguration, PutBucketMetricsConfiguration,
     DeleteBucketMetricsConfiguration, kNone},
    {Level::Bucket, "notification", GetBucketNotificationConfiguration, PutBucketNotificationConfiguration, kNone,
     kNone},
    {Level::Bucket, "object-lock", GetObjectLockConfiguration, PutObjectLockConfiguration, kNone, kNone},
    {Level::Bucket, "ownershipControls", GetBucketOwnershipControls, PutBucketOwnershipControls,
     DeleteBucketOwnershipControls, kNone},
    {Level::Bucket, "policy", GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, kNone},
    {Level::Bucket, "policyStatus", GetBucketPolicyStatus, kNone, kNone, kNone},
    {Level::Bucket, "publicAccessBlock", GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock, kNone},
    {Level::Bucket, "replication", GetBucketReplication, PutBucketReplication, DeleteBucketReplication, kNone},
    {Level::Bucket, "requestPayment", GetBucketRequestPayment, PutBucketRequestPayment, kNone, kNone},
    {Level::Bucket, "session", CreateSession, kNone, kNone, kNone},
    {Level::Bucket, "tagging", GetBucketTagging, PutBucketTagging, DeleteBucketTagging, kNone},
    {Level::Bucket, "uploads", ListMultipartUploads, kNone, kNone, kNone},
    {Level::Bucket, "versioning", GetBucketVersioning, PutBucketVersioning, kNone, kNone},
    {Level::Bucket, "versions", ListObjectVersions, kNone, kNone, kNone},
    {Level::Bucket, "website", GetBucketWebsite, PutBucketWebsite, DeleteBucketWebsite, kNone},
    {Level::Object, "acl", GetObjectAcl, PutObjectAcl, kNone, kNone},
    {Level::Object, "attributes", GetObjectAttributes, kNone, kNone, kNone},
    {Level::Object, "encryption", kNone, UpdateObjectEncryption, kNone, kNone},
    {Level::Object, "legal-hold", GetObjectLegalHold, PutObjectLegalHold, kNone, kNone},
    {Level::Object, "renameObject", kNone, RenameObject, kNone, kNone},
    {Level::Object, "restore", kNone, kNone, kNone, RestoreObject},
    {Level::Object, "retention", GetObjectRetention, PutObjectRetention, kNone, kNone},
    {Level::Object, "select", kNone, kNone, kNone, SelectObjectContent},
    {Level::Object, "tagging", GetObjectTagging, PutObjectTagging, DeleteObjectTagging, kNone},
    {Level::Object, "torrent", GetObjectTorrent, kNone, kNone, kNone},
    {Level::Object, "uploadId", ListParts, UploadPart, AbortMultipartUpload, CompleteMultipartUpload},
    {Level::Object, "uploads", kNone, kNone, kNone, CreateMultipartUpload},
};

// Configurations of which a bucket has many: GET without an id lists them.
std::optional<Operation> listing_of(Operation one) {
  switch (one) {
    case GetBucketAnalyticsConfiguration: return ListBucketAnalyticsConfigurations;
    case GetBucketIntelligentTieringConfiguration: return ListBucketIntelligentTieringConfigurations;
    case GetBucketInventoryConfiguration: return ListBucketInventoryConfigurations;
    case GetBucketMetricsConfiguration: return ListBucketMetricsConfigurations;
    default: return std::nullopt;
  }
}

std::string_view method_name(http::Method method) {
  switch (method) {
    case http::Method::Get: return "GET";
    case http::Method::Head: return "HEAD";
    case http::Method::Put: return "PUT";
    case http::Method::Post: return "POST";
    case http::Method::Delete: return "DELETE";
    case http::Method::Options: return "OPTIONS";
    case http::Method::Patch: return "PATCH";
    case http::Method::Other: break;
  }
  return "OTHER";
}

bool is_subresource(std::string_view name) {
  return std::ranges::any_of(kTable, [&](const Row& row) { return row.subresource == name; });
}

std::unexpected<Failure> not_allowed(http::Method method, std::string_view what) {
  return refuse(ErrorCode::MethodNotAllowed, {},
                {{"Method", std::string(method_name(method))}, {"ResourceType", std::string(what)}});
}

Parsed<Operation> plain(http::Method method, const ResourceName& resource, const Query& query, bool copy_source) {
  if (resource.bucket.empty()) {
    if (method == http::Method::Get) return ListBuckets;
    return not_allowed(method, "SERVICE");
  }
  if (resource.key.empty()) {
    switch (method) {
      case http::Method::Get: break;
      case http::Method::Head: return HeadBucket;
      case http::Method::Put: return CreateBucket;
      case http::Method::Delete: return DeleteBucket;
      case http::Method::Post: return PostObject;
      default: return not_allowed(method, "BUCKET");
    }
    const auto type = query.get("list-type");
    if (!type) return ListObjects;
    if (*type == "2") return ListObjectsV2;
    return refuse(ErrorCode::InvalidArgument, "Invalid List Type specified in Request",
                  {{"ArgumentName", "list-type"}, {"ArgumentValue", printable(*type)}});
  }
  switch (method) {
    case http::Method::Get: return GetObject;
    case http::Method::Head: return HeadObject;
    case http::Method::Put: return copy_source ? CopyObject : PutObject;
    case http::Method::Delete: return DeleteObject;
    default: return not_allowed(method, "OBJECT");
  }
}

// PUT with partNumber or uploadId is a part or a mistake, never an object.
Parsed<Operation> part(const Query& query, bool copy_source) {
  for (std::string_view name : {"partNumber", "uploadId"})
    if (!query.has(name) || query.get(name)->empty())
      return refuse(ErrorCode::InvalidArgument, fmt::format("This operation needs a value of {}", name),
                    {{"ArgumentName", std::string(name)}});
  return copy_source ? UploadPartCopy : UploadPart;
}

}  // namespace

std::string_view operation_name(Operation operation) { return kNames[static_cast<size_t>(operation)]; }

std::unexpected<Failure> not_implemented(Operation operation) {
  return refuse(ErrorCode::NotImplemented, fmt::format("{} is not implemented", operation_name(operation)),
                {{"Operation", std::string(operation_name(operation))}});
}

Parsed<Operation> route(http::Method method, const ResourceName& resource, const Query& query, bool copy_source) {
  if (method == http::Method::Options) return PreflightRequest;
  std::string_view found;
  for (const auto& [name, value] : query.all()) {
    if (!is_subresource(name)) continue;
    if (!found.empty())
      return refuse(ErrorCode::InvalidArgument, fmt::format("Conflicting query string parameters: {}, {}", found, name),
                    {{"ArgumentName", "ResourceType"}, {"ArgumentValue", name}});
    found = name;
  }
  const bool object = !resource.key.empty();
  if (object && method == http::Method::Put && (query.has("partNumber") || found == "uploadId")) {
    if (!found.empty() && found != "uploadId") return not_allowed(method, found);
    return part(query, copy_source);
  }
  if (found.empty()) return plain(method, resource, query, copy_source);
  if (resource.bucket.empty()) return not_allowed(method, found);

  const Level level = object ? Level::Object : Level::Bucket;
  const auto row =
      std::ranges::find_if(kTable, [&](const Row& r) { return r.level == level && r.subresource == found; });
  if (row == std::end(kTable)) return not_allowed(method, found);
  std::optional<Operation> operation;
  switch (method) {
    case http::Method::Get:
      operation = row->get;
      if (operation && !query.has("id")) operation = listing_of(*operation).value_or(*operation);
      break;
    case http::Method::Put: operation = row->put; break;
    case http::Method::Delete: operation = row->erase; break;
    case http::Method::Post: operation = row->post; break;
    default: break;
  }
  if (!operation) return not_allowed(method, found);
  if (found == "uploadId" && query.get("uploadId")->empty())
    return refuse(ErrorCode::NoSuchUpload, {}, {{"UploadId", ""}});
  return *operation;
}

}  // namespace hailstone::s3proto
