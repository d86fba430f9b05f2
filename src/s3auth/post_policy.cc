#include "s3auth/post_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "http/grammar.h"
#include "s3auth/hmac.h"

namespace hailstone::s3auth {
namespace {

using Json = nlohmann::json;
constexpr size_t kKeyBytesMax = 1024;     // S3's limit; keeps ${filename} from multiplying
using FieldMap = std::map<Bytes, Bytes>;  // by lower-case name

Bytes lower_case(std::string_view text) {
  Bytes out(text);
  std::transform(out.begin(), out.end(), out.begin(), http::lower);
  return out;
}

std::unexpected<Refusal> bad_policy(std::string_view what) {
  return refuse("InvalidPolicyDocument", 400, fmt::format("Invalid Policy: {}", what));
}
std::unexpected<Refusal> against_policy(std::string_view what) {
  return refuse("AccessDenied", 403, fmt::format("Invalid according to Policy: {}", what));
}

Verdict<FieldMap> field_map(const PostForm& form) {
  FieldMap out;
  for (const FormField& field : form.fields)
    if (!out.emplace(lower_case(field.name), field.value).second)
      return refuse("InvalidArgument", 400, fmt::format("Bucket POST has two fields named '{}'", printable(field.name)),
                    {{"ArgumentName", field.name}});
  out["bucket"] = form.bucket;
  return out;
}

Verdict<Bytes> need(const FieldMap& fields, const Bytes& name) {
  const auto found = fields.find(name);
  if (found != fields.end() && !found->second.empty()) return found->second;
  return refuse("InvalidArgument", 400,
                fmt::format("Bucket POST must contain a field named '{}'.  If it is specified, please check the order "
                            "of the fields.",
                            name),
                {{"ArgumentName", name}, {"ArgumentValue", ""}});
}

bool is_exempt(std::string_view name) {
  return name == "policy" || name == "file" || name == "x-amz-signature" || name == "signature" ||
         name == "awsaccesskeyid" || name.starts_with("x-ignore-");
}

// A condition's number: JSON integer, or its digits in a string.
std::optional<uint64_t> number(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

// Holds a form against its policy, one condition after another.
class Evaluation {
 public:
  Evaluation(const FieldMap& fields, PostGrant& grant) : fields_(fields), grant_(grant) {}

  Verdict<> condition(const Json& condition) {
    if (condition.is_object()) return exact(condition);
    if (!condition.is_array() || condition.size() != 3 || !condition[0].is_string())
      return bad_policy("Invalid Condition: expected an object or a list of three");
    const Bytes op = lower_case(condition[0].get_ref<const std::string&>());
    if (op == "content-length-range") return length_range(condition);
    if (op != "eq" && op != "starts-with")
      return bad_policy(fmt::format("Invalid Condition: unknown operation '{}'", printable(op)));
    if (!condition[1].is_string() || !condition[2].is_string() ||
        !condition[1].get_ref<const std::string&>().starts_with('$'))
      return bad_policy("Invalid Condition: expected [operation, \"$field\", \"value\"]");
    return match(op, condition[1].get_ref<const std::string&>().substr(1), condition[2].get_ref<const std::string&>());
  }

  Verdict<> nothing_extra() const {
    Bytes extra;
    for (const auto& [name, value] : fields_)
      if (!is_exempt(name) && !covered_.contains(name)) extra += (extra.empty() ? "" : ", ") + name;
    if (extra.empty()) return {};
    return against_policy("Extra input fields: " + printable(extra));
  }

 private:
  Verdict<> exact(const Json& condition) {
    if (condition.size() != 1)
      return bad_policy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
    const auto only = condition.begin();
    if (!only->is_string()) return bad_policy("Invalid Simple-Condition: value must be a string.");
    return match("eq", only.key(), only->get_ref<const std::string&>());
  }

  Verdict<> length_range(const Json& condition) {
    const std::optional<uint64_t> low = number(condition[1]), high = number(condition[2]);
    if (!low || !high || *low > *high) return bad_policy("Invalid content-length-range: expected two byte counts");
    grant_.length_min = std::max(grant_.length_min, *low);
    grant_.length_max = std::min(grant_.length_max, *high);
    return {};
  }

  Verdict<> match(std::string_view op, std::string_view field, std::string_view wanted) {
    const Bytes name = lower_case(field);
    covered_.insert(name);
    const auto found = fields_.find(name);
    const std::string_view value = found == fields_.end() ? std::string_view() : std::string_view(found->second);
    if (op == "eq" ? value == wanted : starts(name, value, wanted)) return {};
    return against_policy(
        fmt::format("Policy Condition failed: [\"{}\", \"${}\", \"{}\"]", op, printable(field), printable(wanted)));
  }

  // A Content-Type with commas is a list: each of it must match.
  static bool starts(std::string_view name, std::string_view value, std::string_view wanted) {
    if (name != "content-type") return value.starts_with(wanted);
    while (true) {
      const size_t comma = value.find(',');
      if (!http::trim(value.substr(0, comma)).starts_with(wanted)) return false;
      if (comma == std::string_view::npos) return true;
      value.remove_prefix(comma + 1);
    }
  }

  const FieldMap& fields_;
  PostGrant& grant_;
  std::set<Bytes> covered_;
};

Verdict<PostGrant> check_policy(FieldMap fields, Bytes access_key_id, std::string_view filename, UnixMicros now) {
  PostGrant grant;
  grant.access_key_id = std::move(access_key_id);
  TRY(grant.key, need(fields, "key"));
  constexpr std::string_view kVariable = "${filename}";
  for (size_t at = 0; grant.key.size() <= kKeyBytesMax && (at = grant.key.find(kVariable, at)) != Bytes::npos;
       at += filename.size())
    grant.key.replace(at, kVariable.size(), filename);
  if (grant.key.size() > kKeyBytesMax) return refuse("KeyTooLongError", 400, "Your key is too long");
  fields["key"] = grant.key;

  Bytes text;
  if (!from_base64(fields["policy"], text)) return bad_policy("Invalid Base64.");
  const Json policy = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!policy.is_object()) return bad_policy("Invalid JSON.");
  const auto expiration = policy.find("expiration");
  if (expiration == policy.end()) return bad_policy("Policy missing expiration.");
  UnixMicros until;
  if (!expiration->is_string() || !expiration->get_ref<const std::string&>().ends_with('Z') ||
      !parse_iso8601(expiration->get_ref<const std::string&>(), until))
    return bad_policy("Invalid 'expiration' value: expected an ISO 8601 time in UTC.");
  const auto conditions = policy.find("conditions");
  if (conditions == policy.end() || !conditions->is_array() || conditions->empty())
    return bad_policy("Policy missing conditions.");
  if (now > until) return against_policy("Policy expired.");

  Evaluation evaluation(fields, grant);
  for (const Json& condition : *conditions) TRY_DO(evaluation.condition(condition));
  TRY_DO(evaluation.nothing_extra());
  return grant;
}

}  // namespace

PostSigning post_signing(const std::vector<FormField>& fields) {
  bool v2 = false;
  for (const FormField& field : fields) {
    if (http::same_text(field.name, "x-amz-algorithm")) return PostSigning::V4;
    v2 = v2 || http::same_text(field.name, "awsaccesskeyid");
  }
  return v2 ? PostSigning::V2 : PostSigning::V4;
}

Verdict<PostGrant> verify_post_v4(const PostForm& form, const ScopeRule& rule, const SigningKeyLookup& keys,
                                  UnixMicros now) {
  TRY(FieldMap fields, field_map(form));
  if (fields.contains("x-amz-security-token")) return session_token();
  TRY(const Bytes policy, need(fields, "policy"));
  TRY(const Bytes algorithm, need(fields, "x-amz-algorithm"));
  if (algorithm == kV4EcdsaAlgorithm) return ecdsa_not_built();
  if (algorithm != kV4Algorithm)
    return refuse("InvalidArgument", 400, fmt::format("X-Amz-Algorithm only supports \"{}\"", kV4Algorithm),
                  {{"ArgumentName", "x-amz-algorithm"}, {"ArgumentValue", algorithm}});
  TRY(const Bytes credential, need(fields, "x-amz-credential"));
  TRY(const Bytes signature, need(fields, "x-amz-signature"));
  TRY(const Bytes date, need(fields, "x-amz-date"));
  int64_t time_s = 0;
  if (!parse_amz_date(date, time_s))
    return refuse("InvalidArgument", 400, "X-Amz-Date must be formatted via ISO8601 Long format",
                  {{"ArgumentName", "x-amz-date"}, {"ArgumentValue", date}});
  TRY(const Scope scope, read_scope(Place::Form, credential, date, rule));
  const std::optional<SigningKey> key = keys(scope);
  if (!key) return unknown_key(scope.access_key_id);
  if (!equal_in_constant_time(hmac_sha256(key->view(), policy).hex(), signature))
    return signature_mismatch(scope.access_key_id, policy, signature, "");
  return check_policy(std::move(fields), scope.access_key_id, form.filename, now);
}

Verdict<PostGrant> verify_post_v2(const PostForm& form, const SecretLookup& secrets, UnixMicros now) {
  TRY(FieldMap fields, field_map(form));
  TRY(const Bytes policy, need(fields, "policy"));
  TRY(const Bytes access_key_id, need(fields, "awsaccesskeyid"));
  TRY(const Bytes signature, need(fields, "signature"));
  const std::optional<Bytes> secret = secrets(access_key_id);
  if (!secret) return unknown_key(access_key_id);
  if (!equal_in_constant_time(to_base64(hmac_sha1(*secret, policy)), signature))
    return signature_mismatch(access_key_id, policy, signature, "");
  return check_policy(std::move(fields), access_key_id, form.filename, now);
}

Verdict<> check_length(const PostGrant& grant, uint64_t bytes, Part part) {
  if (bytes > grant.length_max)
    return refuse("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size",
                  {{"ProposedSize", fmt::to_string(bytes)}, {"MaxSizeAllowed", fmt::to_string(grant.length_max)}});
  if (part == Part::Whole && bytes < grant.length_min)
    return refuse("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size",
                  {{"ProposedSize", fmt::to_string(bytes)}, {"MinSizeAllowed", fmt::to_string(grant.length_min)}});
  return {};
}

std::vector<FormField> sign_post_v4(std::string_view policy_json, const Credentials& credentials, UnixMicros time) {
  const Bytes date = format_amz_date(time.seconds());
  const Scope scope{credentials.access_key_id, date.substr(0, 8), credentials.region};
  const Bytes policy = to_base64(policy_json);
  return {{"policy", policy},
          {"x-amz-algorithm", Bytes(kV4Algorithm)},
          {"x-amz-credential", scope.credential()},
          {"x-amz-date", date},
          {"x-amz-signature", hmac_sha256(derive_signing_key(credentials.secret, scope).view(), policy).hex()}};
}

}  // namespace hailstone::s3auth
