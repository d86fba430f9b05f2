#include "s3/refused.h"

#include "s3proto/xml.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;

// Errors of the model that no operation has given a name of its own.
ErrorCode code_of(Code code) {
  switch (code) {
    case Code::Invalid: return ErrorCode::InvalidArgument;
    case Code::NotFound: return ErrorCode::NoSuchKey;
    case Code::Exists: return ErrorCode::BucketAlreadyExists;
    case Code::Conflict: return ErrorCode::OperationAborted;
    case Code::Unavailable: return ErrorCode::SlowDown;
    case Code::Timeout: return ErrorCode::ServiceUnavailable;
    case Code::Exhausted: return ErrorCode::InsufficientStorage;
    case Code::Denied: return ErrorCode::AccessDenied;
    case Code::Unsupported: return ErrorCode::NotImplemented;
    case Code::Cancelled: return ErrorCode::RequestTimeout;
    case Code::Corrupt:
    case Code::Io: return ErrorCode::InternalError;
  }
  return ErrorCode::InternalError;
}

}  // namespace

Refused::Refused(ErrorCode error, std::string text)
    : code(s3proto::error_name(error)),
      status(s3proto::http_status(error)),
      message(text.empty() ? std::string(s3proto::default_message(error)) : std::move(text)),
      broken(status >= 500 && error != ErrorCode::NotImplemented && error != ErrorCode::SlowDown &&
             error != ErrorCode::ServiceUnavailable) {}

Refused::Refused(s3proto::Failure failure) : Refused(failure.code, std::move(failure.message)) {
  details = std::move(failure.details);
}

Refused::Refused(s3auth::Refusal refusal)
    : code(refusal.code), status(refusal.status), message(std::move(refusal.message)) {
  for (auto& [name, value] : refusal.details) details.emplace_back(std::string(name), std::move(value));
}

Refused::Refused(Error error) : Refused(code_of(error.code), std::move(error.message)) {}

http::Response error_response(const Refused& refused, std::string_view resource, std::string_view request_id,
                              bool head) {
  http::Response response;
  response.status = refused.status;
  for (const auto& [name, value] : refused.headers) response.headers.add(name, value);
  if (refused.status == 503) response.headers.add("Retry-After", "1");
  if (head || refused.status == 304) return response;
  Bytes body;
  s3proto::XmlWriter xml(body);
  xml.declaration();
  xml.open("Error");
  xml.text("Code", refused.code);
  xml.text("Message", refused.message);
  for (const auto& [name, value] : refused.details) xml.text(name, value);
  xml.text("Resource", resource);
  xml.text("RequestId", request_id);
  xml.text("HostId", "hailstone");
  xml.close("Error");
  response.headers.add("Content-Type", "application/xml");
  response.body = http::Part(std::move(body));
  return response;
}

}  // namespace hailstone::s3
