// Which S3 operation a request is: from method, bucket, key, sub-resource and headers, by one table. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/message.h"
#include "s3proto/errors.h"
#include "s3proto/names.h"

namespace hailstone::s3proto {

/// The operations of the Amazon S3 API reference that a server can be asked for, by their names there. PostObject is
/// the browser form upload, PreflightRequest the OPTIONS of CORS.
enum class Operation : uint8_t {
  AbortMultipartUpload,
  CompleteMultipartUpload,
  CopyObject,
  CreateBucket,
  CreateBucketMetadataConfiguration,
  CreateBucketMetadataTableConfiguration,
  CreateMultipartUpload,
  CreateSession,
  DeleteBucket,
  DeleteBucketAnalyticsConfiguration,
  DeleteBucketCors,
  DeleteBucketEncryption,
  DeleteBucketIntelligentTieringConfiguration,
  DeleteBucketInventoryConfiguration,
  DeleteBucketLifecycle,
  DeleteBucketMetadataConfiguration,
  DeleteBucketMetadataTableConfiguration,
  DeleteBucketMetricsConfiguration,
  DeleteBucketOwnershipControls,
  DeleteBucketPolicy,
  DeleteBucketReplication,
  DeleteBucketTagging,
  DeleteBucketWebsite,
  DeleteObject,
  DeleteObjectTagging,
  DeleteObjects,
  DeletePublicAccessBlock,
  GetBucketAbac,
  GetBucketAccelerateConfiguration,
  GetBucketAcl,
  GetBucketAnalyticsConfiguration,
  GetBucketCors,
  GetBucketEncryption,
  GetBucketIntelligentTieringConfiguration,
  GetBucketInventoryConfiguration,
  GetBucketLifecycleConfiguration,
  GetBucketLocation,
  GetBucketLogging,
  GetBucketMetadataConfiguration,
  GetBucketMetadataTableConfiguration,
  GetBucketMetricsConfiguration,
  GetBucketNotificationConfiguration,
  GetBucketOwnershipControls,
  GetBucketPolicy,
  GetBucketPolicyStatus,
  GetBucketReplication,
  GetBucketRequestPayment,
  GetBucketTagging,
  GetBucketVersioning,
  GetBucketWebsite,
  GetObject,
  GetObjectAcl,
  GetObjectAttributes,
  GetObjectLegalHold,
  GetObjectLockConfiguration,
  GetObjectRetention,
  GetObjectTagging,
  GetObjectTorrent,
  GetPublicAccessBlock,
  HeadBucket,
  HeadObject,
  ListBucketAnalyticsConfigurations,
  ListBucketIntelligentTieringConfigurations,
  ListBucketInventoryConfigurations,
  ListBucketMetricsConfigurations,
  ListBuckets,
  ListMultipartUploads,
  ListObjectVersions,
  ListObjects,
  ListObjectsV2,
  ListParts,
  PostObject,
  PreflightRequest,
  PutBucketAbac,
  PutBucketAccelerateConfiguration,
  PutBucketAcl,
  PutBucketAnalyticsConfiguration,
  PutBucketCors,
  PutBucketEncryption,
  PutBucketIntelligentTieringConfiguration,
  PutBucketInventoryConfiguration,
  PutBucketLifecycleConfiguration,
  PutBucketLogging,
  PutBucketMetricsConfiguration,
  PutBucketNotificationConfiguration,
  PutBucketOwnershipControls,
  PutBucketPolicy,
  PutBucketReplication,
  PutBucketRequestPayment,
  PutBucketTagging,
  PutBucketVersioning,
  PutBucketWebsite,
  PutObject,
  PutObjectAcl,
  PutObjectLegalHold,
  PutObjectLockConfiguration,
  PutObjectRetention,
  PutObjectTagging,
  PutPublicAccessBlock,
  RenameObject,
  RestoreObject,
  SelectObjectContent,
  UpdateBucketMetadataInventoryTableConfiguration,
  UpdateBucketMetadataJournalTableConfiguration,
  UpdateObjectEncryption,
  UploadPart,
  UploadPartCopy,
};
inline constexpr size_t kOperationCount = static_cast<size_t>(Operation::UploadPartCopy) + 1;

/// "GetBucketLogging".
std::string_view operation_name(Operation operation);

/// NotImplemented that names the operation.
std::unexpected<Failure> not_implemented(Operation operation);

/// A sub-resource that S3 knows never falls through to the operation without one: where method and level have no use
/// for it, MethodNotAllowed. InvalidArgument for two sub-resources at once. `copy_source`: x-amz-copy-source is there.
Parsed<Operation> route(http::Method method, const ResourceName& resource, const Query& query, bool copy_source);

}  // namespace hailstone::s3proto
