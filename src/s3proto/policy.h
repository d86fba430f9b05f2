// Bucket policies: the JSON document, every part of it checked when it is put, and its verdict on a request. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

inline constexpr size_t kPolicyBytesMax = 20 * 1024;

/// '*' stands for any run of characters, '?' for one byte. Linear in practice, never worse than |pattern| * |text|.
bool wildcard_match(std::string_view pattern, std::string_view text);

enum class ConditionType : uint8_t {
  StringEquals,
  StringEqualsIgnoreCase,
  StringLike,
  NumericEquals,
  NumericLessThan,
  NumericLessThanEquals,
  NumericGreaterThan,
  NumericGreaterThanEquals,
  DateEquals,
  DateLessThan,
  DateLessThanEquals,
  DateGreaterThan,
  DateGreaterThanEquals,
  Bool,
  IpAddress,
  Null,
};

struct PolicyCondition {
  ConditionType type = ConditionType::StringEquals;
  bool negated = false;    // StringNotEquals, NotIpAddress ...
  bool if_exists = false;  // holds when the request has no such key
  enum class Set : uint8_t { None, ForAnyValue, ForAllValues } set = Set::None;
  std::string key;                  // lower case, but for a tag's name after '/'
  std::vector<std::string> values;  // at least one, each fit for the type
};

struct PolicyStatement {
  std::string sid;
  enum class Effect : uint8_t { Allow, Deny } effect = Effect::Deny;
  bool any_principal = false;
  std::vector<std::string> principals;  // user names; when not any_principal
  std::vector<std::string> actions;     // lower-case patterns "s3:get*"
  bool not_action = false;              // all but these
  std::vector<std::string> resources;   // patterns of what follows "arn:aws:s3:::"
  bool not_resource = false;
  std::vector<PolicyCondition> conditions;  // all must hold
};

struct Policy {
  std::vector<PolicyStatement> statements;
};

/// The document for bucket `bucket`, whose resources must lie in it. MalformedPolicy names what is wrong: unknown
/// members, operators, condition keys and principals too; NotImplemented for policy variables and NotPrincipal.
Parsed<Policy> parse_policy(ByteView json, std::string_view bucket);

struct PolicyRequest {
  std::string_view user;      // name of who asks; empty: anonymous
  std::string_view action;    // "s3:GetObject"
  std::string_view resource;  // "bucket" or "bucket/key"
  /// Values of a condition key (as PolicyCondition::key); none: the request has no such key.
  std::function<std::vector<std::string>(std::string_view key)> context;
};

enum class Verdict : uint8_t { None, Allow, Deny };
/// Deny when any statement denies, else Allow when any allows.
Verdict evaluate(const Policy& policy, const PolicyRequest& request);

/// Whether it allows anyone anything without a condition: what PolicyStatus shows and BlockPublicPolicy refuses.
bool is_public(const Policy& policy);
Bytes render_policy_status(bool is_public);

}  // namespace hailstone::s3proto
