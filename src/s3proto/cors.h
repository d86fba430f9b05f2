// CORS rules of a bucket, and what they allow a browser's request (Fetch standard §3.2). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

struct CorsRule {
  std::string id;
  std::vector<std::string> methods;         // GET PUT POST DELETE HEAD, at least one
  std::vector<std::string> origins;         // at least one; each with at most one '*'
  std::vector<std::string> headers;         // that may be sent; at most one '*' each; compared without case
  std::vector<std::string> expose_headers;  // that scripts may read
  std::optional<uint32_t> max_age_seconds;
  bool operator==(const CorsRule&) const = default;
};
using CorsRules = std::vector<CorsRule>;
inline constexpr size_t kCorsRulesMax = 100;

/// MalformedXML; InvalidRequest for an unknown method or two wildcards in a value.
Parsed<CorsRules> parse_cors(ByteView body);
Bytes render_cors(const CorsRules& rules);

/// Fields of an answer's Access-Control- headers.
struct CorsAllowed {
  std::string allow_origin;  // "*" where the rule's origin is just that, else the request's
  bool credentials = false;  // with any other origin
  std::vector<std::string> methods;
  std::vector<std::string> allow_headers;  // of a preflight: those asked for, in lower case
  std::vector<std::string> expose_headers;
  std::optional<uint32_t> max_age_seconds;
  bool operator==(const CorsAllowed&) const = default;
};

/// The first rule that fits origin, method and every header asked for (Access-Control-Request-Headers of a preflight;
/// none for the request itself). Nothing: not allowed.
std::optional<CorsAllowed> match_cors(const CorsRules& rules, std::string_view origin, std::string_view method,
                                      std::span<const std::string_view> request_headers);

}  // namespace hailstone::s3proto
