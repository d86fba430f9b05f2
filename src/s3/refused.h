// Why an S3 request is refused, in the words of its error document, whatever layer said no.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "s3auth/refusal.h"
#include "s3proto/errors.h"

namespace hailstone::s3 {

/// Made from any layer's error, so that TRY passes them all on.
struct Refused {
  Refused(s3proto::ErrorCode code, std::string message = {});
  Refused(s3proto::Failure failure);  // NOLINT(google-explicit-constructor)
  Refused(s3auth::Refusal refusal);   // NOLINT(google-explicit-constructor)
  Refused(Error error);               // NOLINT(google-explicit-constructor)

  Refused& with(std::string name, std::string value) {
    details.emplace_back(std::move(name), std::move(value));
    return *this;
  }

  std::string code;
  int status = 500;
  std::string message;
  std::vector<std::pair<std::string, std::string>> details;  // further elements of the document
  std::vector<std::pair<std::string, std::string>> headers;  // of the response
  bool broken = false;                                       // the node's fault: for its log
};

template <class T = void>
using Answer = std::expected<T, Refused>;

inline std::unexpected<Refused> refusal(s3proto::ErrorCode code, std::string message = {}) {
  return std::unexpected(Refused(code, std::move(message)));
}

/// The <Error> document with its status; HEAD gets no body.
http::Response error_response(const Refused& refused, std::string_view resource, std::string_view request_id,
                              bool head);

}  // namespace hailstone::s3
