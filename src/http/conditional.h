// Conditional requests: what If-Match and its kin decide about a request (RFC 9110 §13). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace hailstone::http {

/// What the selected representation is validated by. ETags in their written form: "\"abc\"" or "W/\"abc\"".
struct Validators {
  bool exists = true;
  std::string_view etag;  // empty: has none
  std::optional<int64_t> modified_unix_seconds;
};

enum class Decision : uint8_t { Proceed, NotModified, PreconditionFailed };

/// Evaluates the preconditions in the order of §13.2.2. If-Modified-Since counts on exact equality only (a date is a
/// validator here, for rollback can make content older): any other date is "modified". If-Unmodified-Since likewise
/// passes on equality, and on any later date. Malformed dates are ignored.
Decision evaluate_conditions(const RequestHead& head, const Validators& validators);

/// Whether a Range field may be heeded: no If-Range, or one that names this representation (strong ETag, or its exact
/// date).
bool range_applies(const RequestHead& head, const Validators& validators);

/// Whether an If-Match or If-None-Match field value ("*", or a list of ETags) names `etag`.
enum class Compare : uint8_t { Strong, Weak };
bool etag_listed(std::string_view list, std::string_view etag, Compare compare);

}  // namespace hailstone::http
