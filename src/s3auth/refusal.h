// Why a request is refused, in the words of S3's error document.
#pragma once

#include <expected>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace hailstone::s3auth {

struct Refusal {
  std::string_view code;  // S3's name, a literal: "SignatureDoesNotMatch"
  int status = 403;       // of the HTTP response
  Bytes message;
  /// More elements of <Error>, in order: {"StringToSign", ...}. Values may hold any bytes of the request.
  std::vector<std::pair<std::string_view, Bytes>> details;

  bool operator==(const Refusal&) const = default;
};

template <class T = void>
using Verdict = std::expected<T, Refusal>;

inline std::unexpected<Refusal> refuse(std::string_view code, int status, Bytes message,
                                       std::vector<std::pair<std::string_view, Bytes>> details = {}) {
  return std::unexpected(Refusal{code, status, std::move(message), std::move(details)});
}

}  // namespace hailstone::s3auth
