// The S3 protocol's error codes: code string, HTTP status and message of each, and the document a refusal is sent as.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace hailstone::s3proto {

/// In the order of the table in errors.cc. Source: Amazon S3 API reference, "Error responses".
enum class ErrorCode : uint8_t {
  AccessControlListNotSupported,
  AccessDenied,
  AuthorizationHeaderMalformed,
  AuthorizationQueryParametersError,
  BadDigest,
  BadRequest,
  BucketAlreadyExists,
  BucketAlreadyOwnedByYou,
  BucketNotEmpty,
  ConditionalRequestConflict,
  CredentialsNotSupported,
  EntityTooLarge,
  EntityTooSmall,
  ExpiredToken,
  IllegalLocationConstraintException,
  IllegalVersioningConfigurationException,
  IncompleteBody,
  IncorrectNumberOfFilesInPostRequest,
  InlineDataTooLarge,
  InsufficientStorage,
  InternalError,
  InvalidAccessKeyId,
  InvalidArgument,
  InvalidBucketAclWithObjectOwnership,
  InvalidBucketName,
  InvalidBucketState,
  InvalidDigest,
  InvalidEncryptionAlgorithmError,
  InvalidLocationConstraint,
  InvalidObjectState,
  InvalidPart,
  InvalidPartNumber,
  InvalidPartOrder,
  InvalidPolicyDocument,
  InvalidRange,
  InvalidRequest,
  InvalidRetentionPeriod,
  InvalidSecurity,
  InvalidStorageClass,
  InvalidTag,
  InvalidToken,
  InvalidURI,
  KeyTooLongError,
  MalformedACLError,
  MalformedPOSTRequest,
  MalformedPolicy,
  MalformedXML,
  MaxMessageLengthExceeded,
  MaxPostPreDataLengthExceededError,
  MetadataTooLarge,
  MethodNotAllowed,
  MissingContentLength,
  MissingRequestBodyError,
  MissingSecurityHeader,
  NoLoggingStatusForKey,
  NoSuchAccessPoint,
  NoSuchBucket,
  NoSuchBucketPolicy,
  NoSuchConfiguration,
  NoSuchCORSConfiguration,
  NoSuchKey,
  NoSuchLifecycleConfiguration,
  NoSuchObjectLockConfiguration,
  NoSuchPublicAccessBlockConfiguration,
  NoSuchTagSet,
  NoSuchUpload,
  NoSuchVersion,
  NoSuchWebsiteConfiguration,
  NotImplemented,
  NotModified,
  NotSignedUp,
  ObjectLockConfigurationNotFoundError,
  OperationAborted,
  OwnershipControlsNotFoundError,
  PermanentRedirect,
  PreconditionFailed,
  ReplicationConfigurationNotFoundError,
  RequestHeaderSectionTooLarge,
  RequestIsNotMultiPartContent,
  RequestTimeout,
  RequestTimeTooSkewed,
  RestoreAlreadyInProgress,
  ServerSideEncryptionConfigurationNotFoundError,
  ServiceUnavailable,
  SignatureDoesNotMatch,
  SlowDown,
  TemporaryRedirect,
  TokenRefreshRequired,
  TooManyBuckets,
  TooManyParts,
  UnexpectedContent,
  UnresolvableGrantByEmailAddress,
  UnsupportedSignature,
  UserKeyMustBeSpecified,
  XAmzContentChecksumMismatch,
  XAmzContentSHA256Mismatch,
};
inline constexpr size_t kErrorCodeCount = static_cast<size_t>(ErrorCode::XAmzContentSHA256Mismatch) + 1;

/// "NoSuchKey": what clients switch on; never changes.
std::string_view error_name(ErrorCode code);
int http_status(ErrorCode code);
/// For people, when nothing more exact is known.
std::string_view default_message(ErrorCode code);

/// A refused request. `details` become elements of their own in the document ("Key", "BucketName", "StringToSign"...).
struct Failure {
  ErrorCode code = ErrorCode::InternalError;
  std::string message;
  std::vector<std::pair<std::string, std::string>> details;

  bool operator==(const Failure&) const = default;
};

template <class T = void>
using Parsed = std::expected<T, Failure>;

/// `message` empty: the default one.
std::unexpected<Failure> refuse(ErrorCode code, std::string message = {},
                                std::vector<std::pair<std::string, std::string>> details = {});

/// <Error> with Code, Message, the details, Resource, RequestId and HostId; HEAD and 304 are sent without it.
Bytes error_document(const Failure& failure, std::string_view resource, std::string_view request_id,
                     std::string_view host_id);

}  // namespace hailstone::s3proto
