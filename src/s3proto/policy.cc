#include "s3proto/policy.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "http/grammar.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

using Json = nlohmann::json;

std::unexpected<Failure> malformed(std::string message) {
  return refuse(ErrorCode::MalformedPolicy, std::move(message));
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = http::lower(c);
  return out;
}

// A condition's operator without its prefix "ForAnyValue:" and its suffix "IfExists".
struct OperatorRow {
  std::string_view name;
  ConditionType type;
  bool negated;
};
constexpr OperatorRow kOperators[] = {
    {"StringEquals", ConditionType::StringEquals, false},
    {"StringNotEquals", ConditionType::StringEquals, true},
    {"StringEqualsIgnoreCase", ConditionType::StringEqualsIgnoreCase, false},
    {"StringNotEqualsIgnoreCase", ConditionType::StringEqualsIgnoreCase, true},
    {"StringLike", ConditionType::StringLike, false},
    {"StringNotLike", ConditionType::StringLike, true},
    {"ArnEquals", ConditionType::StringLike, false},
    {"ArnLike", ConditionType::StringLike, false},
    {"ArnNotEquals", ConditionType::StringLike, true},
    {"ArnNotLike", ConditionType::StringLike, true},
    {"NumericEquals", ConditionType::NumericEquals, false},
    {"NumericNotEquals", ConditionType::NumericEquals, true},
    {"NumericLessThan", ConditionType::NumericLessThan, false},
    {"NumericLessThanEquals", ConditionType::NumericLessThanEquals, false},
    {"NumericGreaterThan", ConditionType::NumericGreaterThan, false},
    {"NumericGreaterThanEquals", ConditionType::NumericGreaterThanEquals, false},
    {"DateEquals", ConditionType::DateEquals, false},
    {"DateNotEquals", ConditionType::DateEquals, true},
    {"DateLessThan", ConditionType::DateLessThan, false},
    {"DateLessThanEquals", ConditionType::DateLessThanEquals, false},
    {"DateGreaterThan", ConditionType::DateGreaterThan, false},
    {"DateGreaterThanEquals", ConditionType::DateGreaterThanEquals, false},
    {"Bool", ConditionType::Bool, false},
    {"IpAddress", ConditionType::IpAddress, false},
    {"NotIpAddress", ConditionType::IpAddress, true},
    {"Null", ConditionType::Null, false},
};

// In lower case. A key that ends in '/' is followed by a tag's name.
constexpr std::string_view kConditionKeys[] = {
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalarn",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceip",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "s3:authtype",
    "s3:delimiter",
    "s3:existingobjecttag/",
    "s3:if-match",
    "s3:if-none-match",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:requestobjecttag/",
    "s3:requestobjecttagkeys",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-storage-class",
};

Parsed<std::string> condition_key(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string head = lowered(slash == text.npos ? text : text.substr(0, slash + 1));
  const bool whole = slash == text.npos || slash + 1 < text.size();
  if (!whole || std::ranges::find(kConditionKeys, head) == std::end(kConditionKeys))
    return malformed(fmt::format("Policy has an invalid condition key: '{}'", printable(text)));
  return slash == text.npos ? head : head + std::string(text.substr(slash + 1));
}

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// ISO 8601 or seconds since 1970, as micros.
std::optional<int64_t> to_date(std::string_view text) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && std::abs(seconds) < 1'000'000'000'000)
    return seconds * 1'000'000;
  UnixMicros at;
  if (!parse_iso8601(text, at)) return std::nullopt;
  return at.value;
}

struct Network {
  std::array<uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  int prefix_bits = 128;
};

std::optional<Network> to_network(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Network out;
  int bits_max = 128;
  if (in_addr v4; inet_pton(AF_INET, address.c_str(), &v4) == 1) {
    bits_max = 32;
    out.address[10] = out.address[11] = 0xff;
    std::memcpy(out.address.data() + 12, &v4, 4);
  } else if (inet_pton(AF_INET6, address.c_str(), out.address.data()) != 1) {
    return std::nullopt;
  }
  int bits = bits_max;
  if (slash != text.npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > bits_max)
      return std::nullopt;
  }
  out.prefix_bits = bits + 128 - bits_max;
  return out;
}

bool contains(const Network& network, const Network& host) {
  for (int bit = 0; bit < network.prefix_bits; ++bit) {
    const auto byte = static_cast<size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((network.address[byte] & mask) != (host.address[byte] & mask)) return false;
  }
  return true;
}

bool is_number(ConditionType t) {
  return t >= ConditionType::NumericEquals && t <= ConditionType::NumericGreaterThanEquals;
}
bool is_date(ConditionType t) { return t >= ConditionType::DateEquals && t <= ConditionType::DateGreaterThanEquals; }

bool fits_type(ConditionType type, std::string_view value) {
  if (is_number(type)) return to_number(value).has_value();
  if (is_date(type)) return to_date(value).has_value();
  if (type == ConditionType::IpAddress) return to_network(value).has_value();
  if (type == ConditionType::Bool || type == ConditionType::Null)
    return lowered(value) == "true" || lowered(value) == "false";
  return true;
}

// A string or a non-empty list of them.
Parsed<std::vector<std::string>> strings(const Json& json, std::string_view what) {
  std::vector<std::string> out;
  const auto add = [&](const Json& one) {
    if (one.is_string()) out.push_back(one.get<std::string>());
    return one.is_string();
  };
  const bool good = json.is_array() ? std::ranges::all_of(json, add) : add(json);
  if (!good || out.empty()) return malformed(fmt::format("{} must be a string or a list of strings", what));
  for (const std::string& text : out)
    if (text.find("${") != text.npos)
      return refuse(ErrorCode::NotImplemented, fmt::format("{}: policy variables are not implemented", what));
  return out;
}

Parsed<void> parse_principal(const Json& json, PolicyStatement& out) {
  if (json.is_string() && json == "*") {
    out.any_principal = true;
    return {};
  }
  if (!json.is_object() || json.size() != 1 || !json.contains("AWS"))
    return malformed("Invalid principal in policy: it must be \"*\" or {\"AWS\": ...}");
  TRY(const auto arns, strings(json["AWS"], "Principal"));
  constexpr std::string_view kUser = "arn:aws:iam:::user/";
  for (const std::string& arn : arns) {
    if (arn == "*") {
      out.any_principal = true;
    } else if (arn.starts_with(kUser) && arn.size() > kUser.size() && arn.find_first_of("*?") == arn.npos) {
      out.principals.push_back(arn.substr(kUser.size()));
    } else {
      return malformed(fmt::format("Invalid principal in policy: '{}' is not arn:aws:iam:::user/NAME", printable(arn)));
    }
  }
  return {};
}

Parsed<void> parse_actions(const Json& json, PolicyStatement& out) {
  TRY(const auto actions, strings(json, "Action"));
  for (const std::string& action : actions) {
    const std::string low = lowered(action);
    const bool good =
        low == "*" || (low.starts_with("s3:") && low.size() > 3 && std::ranges::all_of(low.substr(3), [](char c) {
                         return (c >= 'a' && c <= 'z') || c == '*' || c == '?' || (c >= '0' && c <= '9');
                       }));
    if (!good) return malformed(fmt::format("Policy has invalid action: '{}'", printable(action)));
    out.actions.push_back(low);
  }
  return {};
}

Parsed<void> parse_resources(const Json& json, std::string_view bucket, PolicyStatement& out) {
  TRY(const auto resources, strings(json, "Resource"));
  constexpr std::string_view kArn = "arn:aws:s3:::";
  for (const std::string& resource : resources) {
    const std::string_view rest = std::string_view(resource).substr(std::min(kArn.size(), resource.size()));
    if (!resource.starts_with(kArn) || !wildcard_match(rest.substr(0, rest.find('/')), bucket))
      return malformed(fmt::format("Policy has invalid resource: '{}'", printable(resource)));
    out.resources.emplace_back(rest);
  }
  return {};
}

Parsed<PolicyCondition> parse_operator(std::string_view text) {
  PolicyCondition out;
  std::string_view name = text;
  if (name.starts_with("ForAnyValue:")) out.set = PolicyCondition::Set::ForAnyValue;
  if (name.starts_with("ForAllValues:")) out.set = PolicyCondition::Set::ForAllValues;
  if (out.set != PolicyCondition::Set::None) name.remove_prefix(name.find(':') + 1);
  if (name.ends_with("IfExists")) {
    out.if_exists = true;
    name.remove_suffix(std::string_view("IfExists").size());
  }
  const auto row = std::ranges::find_if(kOperators, [&](const auto& r) { return r.name == name; });
  if (row == std::end(kOperators) || (row->type == ConditionType::Null && name != text))
    return malformed(fmt::format("Policy has an invalid condition operator: '{}'", printable(text)));
  out.type = row->type;
  out.negated = row->negated;
  return out;
}

Parsed<void> parse_conditions(const Json& json, PolicyStatement& out) {
  if (!json.is_object()) return malformed("Condition must be an object");
  for (const auto& [operator_name, keys] : json.items()) {
    TRY(const PolicyCondition kind, parse_operator(operator_name));
    if (!keys.is_object() || keys.empty())
      return malformed(fmt::format("Condition {}: no condition keys", printable(operator_name)));
    for (const auto& [key, values] : keys.items()) {
      PolicyCondition condition = kind;
      TRY(condition.key, condition_key(key));
      Json texts = values.is_array() ? values : Json::array({values});
      // Numbers and booleans may be written as such.
      for (Json& one : texts)
        if (one.is_number() || one.is_boolean()) one = one.dump();
      TRY(condition.values, strings(texts, fmt::format("Condition {}: {}", printable(operator_name), printable(key))));
      for (const std::string& value : condition.values)
        if (!fits_type(condition.type, value))
          return malformed(fmt::format("Condition {}: '{}' is no value for {}", printable(operator_name),
                                       printable(value), printable(key)));
      out.conditions.push_back(std::move(condition));
    }
  }
  return {};
}

// Exactly one of a member and its negation.
Parsed<const Json*> either(const Json& statement, const char* name, const char* negated_name, bool& negated) {
  negated = statement.contains(negated_name);
  if (negated == statement.contains(name))
    return malformed(fmt::format("Statement needs one of {} and {}", name, negated_name));
  return &statement[negated ? negated_name : name];
}

Parsed<PolicyStatement> parse_statement(const Json& json, std::string_view bucket) {
  if (!json.is_object()) return malformed("Statement must be an object");
  if (json.contains("NotPrincipal")) return refuse(ErrorCode::NotImplemented, "NotPrincipal is not implemented");
  constexpr std::string_view kMembers[] = {"Sid",       "Effect",   "Principal",   "Action",
                                           "NotAction", "Resource", "NotResource", "Condition"};
  for (const auto& [name, value] : json.items())
    if (std::ranges::find(kMembers, name) == std::end(kMembers))
      return malformed(fmt::format("Statement has an unknown member: '{}'", printable(name)));
  PolicyStatement out;
  if (json.contains("Sid")) {
    if (!json["Sid"].is_string()) return malformed("Sid must be a string");
    out.sid = json["Sid"].get<std::string>();
  }
  const Json effect = json.value("Effect", Json());
  if (effect == "Allow")
    out.effect = PolicyStatement::Effect::Allow;
  else if (effect != "Deny")
    return malformed("Invalid effect: it must be Allow or Deny");
  if (!json.contains("Principal")) return malformed("Missing required field Principal");
  TRY_DO(parse_principal(json["Principal"], out));
  TRY(const Json* actions, either(json, "Action", "NotAction", out.not_action));
  TRY_DO(parse_actions(*actions, out));
  TRY(const Json* resources, either(json, "Resource", "NotResource", out.not_resource));
  TRY_DO(parse_resources(*resources, bucket, out));
  if (json.contains("Condition")) TRY_DO(parse_conditions(json["Condition"], out));
  return out;
}

// The document, refused when a member is given twice: which one counts would be the parser's whim.
std::optional<Json> parse_json(ByteView text) {
  std::vector<std::set<std::string>> members;
  bool doubled = false;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) members.emplace_back();
    if (event == Json::parse_event_t::object_end) members.pop_back();
    if (event == Json::parse_event_t::key) doubled |= !members.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (json.is_discarded() || doubled || !json.is_object()) return std::nullopt;
  return json;
}

template <class T>
bool compare(ConditionType type, T a, T b) {
  switch (type) {
    case ConditionType::NumericLessThan:
    case ConditionType::DateLessThan: return a < b;
    case ConditionType::NumericLessThanEquals:
    case ConditionType::DateLessThanEquals: return a <= b;
    case ConditionType::NumericGreaterThan:
    case ConditionType::DateGreaterThan: return a > b;
    case ConditionType::NumericGreaterThanEquals:
    case ConditionType::DateGreaterThanEquals: return a >= b;
    default: return a == b;
  }
}

// One value of the request against one of the policy.
bool holds(ConditionType type, std::string_view actual, std::string_view expected) {
  if (is_number(type)) {
    const auto a = to_number(actual), b = to_number(expected);
    return a && b && compare(type, *a, *b);
  }
  if (is_date(type)) {
    const auto a = to_date(actual), b = to_date(expected);
    return a && b && compare(type, *a, *b);
  }
  switch (type) {
    case ConditionType::StringLike: return wildcard_match(expected, actual);
    case ConditionType::Bool:
    case ConditionType::StringEqualsIgnoreCase: return http::same_text(actual, expected);
    case ConditionType::IpAddress: {
      const auto host = to_network(actual), network = to_network(expected);
      return host && network && contains(*network, *host);
    }
    default: return actual == expected;
  }
}

bool holds(const PolicyCondition& condition, const std::vector<std::string>& actual) {
  if (condition.type == ConditionType::Null)
    return std::ranges::any_of(condition.values,
                               [&](const auto& v) { return (lowered(v) == "true") == actual.empty(); });
  const auto one = [&](const std::string& value) {
    const bool any =
        std::ranges::any_of(condition.values, [&](const auto& v) { return holds(condition.type, value, v); });
    return any != condition.negated;
  };
  using Set = PolicyCondition::Set;
  if (condition.set == Set::ForAllValues) return std::ranges::all_of(actual, one);
  if (actual.empty()) return condition.if_exists || (condition.negated && condition.set == Set::None);
  if (condition.set == Set::ForAnyValue || !condition.negated) return std::ranges::any_of(actual, one);
  return std::ranges::all_of(actual, one);
}

bool matches(const PolicyStatement& statement, const PolicyRequest& request, const std::string& action) {
  if (!statement.any_principal &&
      (request.user.empty() || std::ranges::find(statement.principals, request.user) == statement.principals.end()))
    return false;
  const bool acts = std::ranges::any_of(statement.actions, [&](const auto& p) { return wildcard_match(p, action); });
  if (acts == statement.not_action) return false;
  const bool there =
      std::ranges::any_of(statement.resources, [&](const auto& p) { return wildcard_match(p, request.resource); });
  if (there == statement.not_resource) return false;
  return std::ranges::all_of(statement.conditions, [&](const PolicyCondition& condition) {
    return holds(condition, request.context ? request.context(condition.key) : std::vector<std::string>());
  });
}

}  // namespace

bool wildcard_match(std::string_view pattern, std::string_view text) {
  // On a mismatch the last '*' takes one byte more; earlier ones need never be revisited.
  size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Parsed<Policy> parse_policy(ByteView text, std::string_view bucket) {
  if (text.size() > kPolicyBytesMax)
    return malformed(fmt::format("Policy exceeds the maximum of {} bytes", kPolicyBytesMax));
  const auto json = parse_json(text);
  if (!json) return malformed("Policies must be valid JSON, an object without doubled members");
  for (const auto& [name, value] : json->items())
    if (name != "Version" && name != "Id" && name != "Statement")
      return malformed(fmt::format("Policy has an unknown member: '{}'", printable(name)));
  const Json version = json->value("Version", Json("2008-10-17"));
  if (version != "2012-10-17" && version != "2008-10-17") return malformed("Version must be 2012-10-17 or 2008-10-17");
  if (!json->contains("Statement")) return malformed("Missing required field Statement");
  const Json& listed = (*json)["Statement"];
  const Json statements = listed.is_array() ? listed : Json::array({listed});
  if (statements.empty()) return malformed("Statement is empty");
  Policy out;
  for (const Json& one : statements) {
    TRY(PolicyStatement statement, parse_statement(one, bucket));
    out.statements.push_back(std::move(statement));
  }
  return out;
}

Verdict evaluate(const Policy& policy, const PolicyRequest& request) {
  const std::string action = lowered(request.action);
  Verdict verdict = Verdict::None;
  for (const PolicyStatement& statement : policy.statements) {
    if (!matches(statement, request, action)) continue;
    if (statement.effect == PolicyStatement::Effect::Deny) return Verdict::Deny;
    verdict = Verdict::Allow;
  }
  return verdict;
}

bool is_public(const Policy& policy) {
  return std::ranges::any_of(policy.statements, [](const PolicyStatement& statement) {
    return statement.effect == PolicyStatement::Effect::Allow && statement.any_principal &&
           statement.conditions.empty();
  });
}

Bytes render_policy_status(bool is_public) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("PolicyStatus");
  xml.boolean("IsPublic", is_public);
  xml.close("PolicyStatus");
  return out;
}

}  // namespace hailstone::s3proto
