#include "s3proto/errors.h"

#include <array>

#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

struct Row {
  ErrorCode code;
  std::string_view name;
  int status;
  std::string_view message;
};

using enum ErrorCode;
constexpr std::array<Row, kErrorCodeCount> kTable{{
    {AccessControlListNotSupported, "AccessControlListNotSupported", 400, "The bucket does not allow ACLs"},
    {AccessDenied, "AccessDenied", 403, "Access Denied"},
    {AuthorizationHeaderMalformed, "AuthorizationHeaderMalformed", 400,
     "The authorization header you provided is invalid."},
    {AuthorizationQueryParametersError, "AuthorizationQueryParametersError", 400,
     "The authorization query parameters you provided are not valid."},
    {BadDigest, "BadDigest", 400, "The Content-MD5 or checksum value you specified did not match what we received."},
    {BadRequest, "BadRequest", 400, "Bad Request"},
    {BucketAlreadyExists, "BucketAlreadyExists", 409,
     "The requested bucket name is not available. Select a different name and try again."},
    {BucketAlreadyOwnedByYou, "BucketAlreadyOwnedByYou", 409,
     "Your previous request to create the named bucket succeeded and you already own it."},
    {BucketNotEmpty, "BucketNotEmpty", 409, "The bucket you tried to delete is not empty."},
    {ConditionalRequestConflict, "ConditionalRequestConflict", 409,
     "A conflicting operation occurred during the conditional request. Retry it."},
    {CredentialsNotSupported, "CredentialsNotSupported", 400, "This request does not support credentials."},
    {EntityTooLarge, "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size."},
    {EntityTooSmall, "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed object size."},
    {ExpiredToken, "ExpiredToken", 400, "The provided token has expired."},
    {IllegalLocationConstraintException, "IllegalLocationConstraintException", 400,
     "The specified location constraint is not valid for this endpoint."},
    {IllegalVersioningConfigurationException, "IllegalVersioningConfigurationException", 400,
     "The versioning configuration specified in the request is not valid."},
    {IncompleteBody, "IncompleteBody", 400,
     "You did not provide the number of bytes specified by the Content-Length HTTP header."},
    {IncorrectNumberOfFilesInPostRequest, "IncorrectNumberOfFilesInPostRequest", 400,
     "POST requires exactly one file upload per request."},
    {InlineDataTooLarge, "InlineDataTooLarge", 400, "The inline data exceeds the maximum allowed size."},
    {InsufficientStorage, "InsufficientStorage", 507, "There is not enough storage left to complete the request."},
    {InternalError, "InternalError", 500, "We encountered an internal error. Please try again."},
    {InvalidAccessKeyId, "InvalidAccessKeyId", 403, "The access key ID you provided does not exist in our records."},
    {InvalidArgument, "InvalidArgument", 400, "Invalid Argument"},
    {InvalidBucketAclWithObjectOwnership, "InvalidBucketAclWithObjectOwnership", 400,
     "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
    {InvalidBucketName, "InvalidBucketName", 400, "The specified bucket is not valid."},
    {InvalidBucketState, "InvalidBucketState", 409, "The request is not valid for the current state of the bucket."},
    {InvalidDigest, "InvalidDigest", 400, "The Content-MD5 or checksum value you specified is not valid."},
    {InvalidEncryptionAlgorithmError, "InvalidEncryptionAlgorithmError", 400,
     "The encryption request you specified is not valid. The valid value is AES256."},
    {InvalidLocationConstraint, "InvalidLocationConstraint", 400,
     "The specified location (Region) constraint is not valid."},
    {InvalidObjectState, "InvalidObjectState", 403, "The operation is not valid for the current state of the object."},
    {InvalidPart, "InvalidPart", 400,
     "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified "
     "entity tag might not have matched the part's entity tag."},
    {InvalidPartNumber, "InvalidPartNumber", 416, "The requested partnumber is not satisfiable"},
    {InvalidPartOrder, "InvalidPartOrder", 400,
     "The list of parts was not in ascending order. The parts list must be specified in order by part number."},
    {InvalidPolicyDocument, "InvalidPolicyDocument", 400,
     "The content of the form does not meet the conditions specified in the policy document."},
    {InvalidRange, "InvalidRange", 416, "The requested range is not satisfiable"},
    {InvalidRequest, "InvalidRequest", 400, "Invalid Request"},
    {InvalidRetentionPeriod, "InvalidRetentionPeriod", 400,
     "The retention period must be a positive integer of at most 36500 days or 100 years."},
    {InvalidSecurity, "InvalidSecurity", 403, "The provided security credentials are not valid."},
    {InvalidStorageClass, "InvalidStorageClass", 400, "The storage class you specified is not valid"},
    {InvalidTag, "InvalidTag", 400, "The tag provided was not a valid tag."},
    {InvalidToken, "InvalidToken", 400, "The provided token is malformed or otherwise not valid."},
    {InvalidURI, "InvalidURI", 400, "The specified URI couldn't be parsed."},
    {KeyTooLongError, "KeyTooLongError", 400, "Your key is too long"},
    {MalformedACLError, "MalformedACLError", 400,
     "The ACL that you provided was not well formed or did not validate against our published schema."},
    {MalformedPOSTRequest, "MalformedPOSTRequest", 400,
     "The body of your POST request is not well-formed multipart/form-data."},
    {MalformedPolicy, "MalformedPolicy", 400, "Policy has invalid syntax."},
    {MalformedXML, "MalformedXML", 400,
     "The XML you provided was not well-formed or did not validate against our published schema"},
    {MaxMessageLengthExceeded, "MaxMessageLengthExceeded", 400, "Your request was too large."},
    {MaxPostPreDataLengthExceededError, "MaxPostPreDataLengthExceededError", 400,
     "Your POST request fields preceding the upload file were too large."},
    {MetadataTooLarge, "MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size."},
    {MethodNotAllowed, "MethodNotAllowed", 405, "The specified method is not allowed against this resource."},
    {MissingContentLength, "MissingContentLength", 411, "You must provide the Content-Length HTTP header."},
    {MissingRequestBodyError, "MissingRequestBodyError", 400, "Request body is empty."},
    {MissingSecurityHeader, "MissingSecurityHeader", 400, "Your request is missing a required header."},
    {NoLoggingStatusForKey, "NoLoggingStatusForKey", 400,
     "There is no such thing as a logging status subresource for a key."},
    {NoSuchAccessPoint, "NoSuchAccessPoint", 404, "The specified accesspoint does not exist"},
    {NoSuchBucket, "NoSuchBucket", 404, "The specified bucket does not exist"},
    {NoSuchBucketPolicy, "NoSuchBucketPolicy", 404, "The bucket policy does not exist"},
    {NoSuchConfiguration, "NoSuchConfiguration", 404, "The specified configuration does not exist."},
    {NoSuchCORSConfiguration, "NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"},
    {NoSuchKey, "NoSuchKey", 404, "The specified key does not exist."},
    {NoSuchLifecycleConfiguration, "NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"},
    {NoSuchObjectLockConfiguration, "NoSuchObjectLockConfiguration", 404,
     "The specified object does not have a ObjectLock configuration"},
    {NoSuchPublicAccessBlockConfiguration, "NoSuchPublicAccessBlockConfiguration", 404,
     "The public access block configuration was not found"},
    {NoSuchTagSet, "NoSuchTagSet", 404, "The TagSet does not exist"},
    {NoSuchUpload, "NoSuchUpload", 404,
     "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
     "completed."},
    {NoSuchVersion, "NoSuchVersion", 404, "The specified version does not exist."},
    {NoSuchWebsiteConfiguration, "NoSuchWebsiteConfiguration", 404,
     "The specified bucket does not have a website configuration"},
    {NotImplemented, "NotImplemented", 501,
     "A header or query you provided implies functionality that is not implemented"},
    {NotModified, "NotModified", 304, "Not Modified"},
    {NotSignedUp, "NotSignedUp", 403, "Your account is not signed up for the service."},
    {ObjectLockConfigurationNotFoundError, "ObjectLockConfigurationNotFoundError", 404,
     "Object Lock configuration does not exist for this bucket"},
    {OperationAborted, "OperationAborted", 409,
     "A conflicting conditional operation is currently in progress against this resource. Please try again."},
    {OwnershipControlsNotFoundError, "OwnershipControlsNotFoundError", 404,
     "The bucket ownership controls were not found"},
    {PermanentRedirect, "PermanentRedirect", 301,
     "The bucket you are attempting to access must be addressed using the specified endpoint."},
    {PreconditionFailed, "PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold"},
    {ReplicationConfigurationNotFoundError, "ReplicationConfigurationNotFoundError", 404,
     "The replication configuration was not found"},
    {RequestHeaderSectionTooLarge, "RequestHeaderSectionTooLarge", 400,
     "The request header and query parameters exceed the maximum allowed size."},
    {RequestIsNotMultiPartContent, "RequestIsNotMultiPartContent", 412,
     "A bucket POST request must be of the enclosure-type multipart/form-data."},
    {RequestTimeout, "RequestTimeout", 400,
     "Your socket connection to the server was not read from or written to within the timeout period."},
    {RequestTimeTooSkewed, "RequestTimeTooSkewed", 403,
     "The difference between the request time and the server's time is too large."},
    {RestoreAlreadyInProgress, "RestoreAlreadyInProgress", 409, "The object restore is already in progress."},
    {ServerSideEncryptionConfigurationNotFoundError, "ServerSideEncryptionConfigurationNotFoundError", 404,
     "The server side encryption configuration was not found"},
    {ServiceUnavailable, "ServiceUnavailable", 503, "Service is unable to handle request."},
    {SignatureDoesNotMatch, "SignatureDoesNotMatch", 403,
     "The request signature we calculated does not match the signature you provided. Check your key and signing "
     "method."},
    {SlowDown, "SlowDown", 503, "Please reduce your request rate."},
    {TemporaryRedirect, "TemporaryRedirect", 307, "You are being redirected to the bucket."},
    {TokenRefreshRequired, "TokenRefreshRequired", 400, "The provided token must be refreshed."},
    {TooManyBuckets, "TooManyBuckets", 400, "You have attempted to create more buckets than allowed."},
    {TooManyParts, "TooManyParts", 400, "You have attempted to add more parts than allowed."},
    {UnexpectedContent, "UnexpectedContent", 400, "This request does not support content."},
    {UnresolvableGrantByEmailAddress, "UnresolvableGrantByEmailAddress", 400,
     "The e-mail address you provided does not match any account on record."},
    {UnsupportedSignature, "UnsupportedSignature", 400,
     "The provided request is signed with an unsupported or missing signature method."},
    {UserKeyMustBeSpecified, "UserKeyMustBeSpecified", 400,
     "The bucket POST request must contain the specified field name. If it is specified, check the order of the "
     "fields."},
    {XAmzContentChecksumMismatch, "XAmzContentChecksumMismatch", 400,
     "The provided 'x-amz-checksum' header does not match what was computed."},
    {XAmzContentSHA256Mismatch, "XAmzContentSHA256Mismatch", 400,
     "The provided 'x-amz-content-sha256' header does not match what was computed."},
}};

constexpr bool rows_follow_the_enum() {
  for (size_t i = 0; i < kTable.size(); ++i)
    if (static_cast<size_t>(kTable[i].code) != i || kTable[i].name.empty()) return false;
  return true;
}
static_assert(rows_follow_the_enum());

const Row& row(ErrorCode code) { return kTable[static_cast<size_t>(code)]; }

}  // namespace

std::string_view error_name(ErrorCode code) { return row(code).name; }
int http_status(ErrorCode code) { return row(code).status; }
std::string_view default_message(ErrorCode code) { return row(code).message; }

std::unexpected<Failure> refuse(ErrorCode code, std::string message,
                                std::vector<std::pair<std::string, std::string>> details) {
  if (message.empty()) message = default_message(code);
  return std::unexpected(Failure{code, std::move(message), std::move(details)});
}

Bytes error_document(const Failure& failure, std::string_view resource, std::string_view request_id,
                     std::string_view host_id) {
  Bytes out;
  XmlWriter xml(out);
  xml.declaration();
  xml.open("Error");
  xml.text("Code", error_name(failure.code));
  xml.text("Message", failure.message.empty() ? default_message(failure.code) : std::string_view(failure.message));
  for (const auto& [name, value] : failure.details) xml.text(name, value);
  xml.text("Resource", resource);
  xml.text("RequestId", request_id);
  xml.text("HostId", host_id);
  xml.close("Error");
  return out;
}

}  // namespace hailstone::s3proto
