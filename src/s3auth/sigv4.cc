#include "s3auth/sigv4.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"
#include "http/grammar.h"
#include "s3auth/canonical.h"
#include "s3auth/hmac.h"

namespace hailstone::s3auth {
namespace {

constexpr std::string_view kContentDigest = "x-amz-content-sha256";
constexpr std::string_view kSignature = "X-Amz-Signature";

// What a request says of its own signature, parsed and checked for form.
struct Claim {
  Scheme scheme = Scheme::V4Header;
  Scope scope;
  std::vector<Bytes> signed_names;
  Bytes amz_date;
  int64_t time_s = 0;
};

struct Computed {
  Bytes canonical, string_to_sign, signature;
};

// The one place where a signature comes from, for both sides.
Verdict<Computed> compute(const http::RequestHead& head, const Query& query, const Claim& claim,
                          std::string_view payload, const SigningKey& key) {
  const std::optional<Bytes> path = canonical_path(head.path);
  if (!path) return bad_uri();
  Computed out;
  out.canonical = canonical_request(
      head, {head.method_text, *path, canonical_query(query, kSignature), claim.signed_names, payload});
  out.string_to_sign = string_to_sign(claim.amz_date, claim.scope.text(), out.canonical);
  out.signature = hmac_sha256(key.view(), out.string_to_sign).hex();
  return out;
}

bool is_amz_field(std::string_view name) { return name.size() >= 6 && http::same_text(name.substr(0, 6), "x-amz-"); }

Bytes lower_case(std::string_view text) {
  Bytes out(text);
  std::transform(out.begin(), out.end(), out.begin(), http::lower);
  return out;
}

Verdict<> check_signed_names(const http::RequestHead& head, const std::vector<Bytes>& names) {
  Bytes missing;
  const auto need = [&](const Bytes& name) {
    if (std::binary_search(names.begin(), names.end(), name)) return;
    missing += (missing.empty() ? "" : ", ") + name;
  };
  need("host");
  for (const auto& field : head.fields)
    if (is_amz_field(field.name)) need(lower_case(field.name));
  if (missing.empty()) return {};
  return refuse("AccessDenied", 403, "There were headers present in the request which were not signed",
                {{"HeadersNotSigned", missing}});
}

struct Payload {
  PayloadMode mode = PayloadMode::Unsigned;
  std::optional<Hash256> digest;
};

Verdict<Payload> read_payload(std::string_view text) {
  for (PayloadMode mode : {PayloadMode::Unsigned, PayloadMode::SignedChunks, PayloadMode::SignedChunksTrailer,
                           PayloadMode::UnsignedChunksTrailer})
    if (text == payload_mode_text(mode)) return Payload{mode, {}};
  if (text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")) return ecdsa_not_built();
  if (auto digest = Hash256::parse_hex(text)) return Payload{PayloadMode::Digest, digest};
  return refuse("InvalidArgument", 400,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid "
                "sha256 value.",
                {{"ArgumentName", Bytes(kContentDigest)}, {"ArgumentValue", Bytes(text)}});
}

// Everything that is the same for both places once the claim is read.
Verdict<Authenticated> verify(const http::RequestHead& head, const Query& query, Claim claim,
                              std::string_view payload_text, std::string_view signature, const SigningKeyLookup& keys) {
  TRY(Payload payload, read_payload(payload_text));
  TRY_DO(check_signed_names(head, claim.signed_names));
  const std::optional<SigningKey> key = keys(claim.scope);
  if (!key) return unknown_key(claim.scope.access_key_id);
  TRY(Computed computed, compute(head, query, claim, payload_text, *key));
  if (!equal_in_constant_time(computed.signature, signature))
    return signature_mismatch(claim.scope.access_key_id, computed.string_to_sign, signature, computed.canonical);
  return Authenticated{claim.scope.access_key_id,
                       claim.scheme,
                       payload.mode,
                       payload.digest,
                       {std::move(computed.signature), *key, std::move(claim.amz_date), claim.scope.text()}};
}

// X-Amz-Date, else Date in either spelling.
Verdict<> read_date(const http::RequestHead& head, Claim& claim) {
  const std::optional<std::string_view> amz = head.field("x-amz-date");
  const std::optional<std::string_view> text = amz ? amz : head.field("date");
  if (!text) return no_date();
  if (!(amz ? parse_amz_date : parse_request_date)(*text, claim.time_s)) return no_date();
  claim.amz_date = format_amz_date(claim.time_s);
  return {};
}

struct AuthorizationParts {
  std::string_view credential, signed_names, signature;
};

Verdict<AuthorizationParts> read_authorization(std::string_view value) {
  if (value.starts_with(kV4EcdsaAlgorithm)) return ecdsa_not_built();
  if (!value.starts_with(kV4Algorithm) || value.size() == kV4Algorithm.size() ||
      !http::is_space(value[kV4Algorithm.size()]))
    return refuse("InvalidArgument", 400, "Unsupported Authorization Type",
                  {{"ArgumentName", "Authorization"}, {"ArgumentValue", Bytes(value)}});
  value.remove_prefix(kV4Algorithm.size());
  AuthorizationParts out;
  while (!value.empty()) {
    const size_t comma = value.find(',');
    const std::string_view part = http::trim(value.substr(0, comma));
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    const size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    std::string_view* const slot = name == "Credential"      ? &out.credential
                                   : name == "SignedHeaders" ? &out.signed_names
                                   : name == "Signature"     ? &out.signature
                                                             : nullptr;
    if (slot == nullptr || equals == std::string_view::npos || !slot->empty())
      return malformed(Place::Header, fmt::format("unexpected component \"{}\".", printable(part)));
    *slot = part.substr(equals + 1);
  }
  for (const auto& [name, part] :
       {std::pair("Credential", out.credential), {"SignedHeaders", out.signed_names}, {"Signature", out.signature}})
    if (part.empty())
      return malformed(Place::Header, fmt::format("the authorization header requires three components: Credential, "
                                                  "SignedHeaders, and Signature; {} is missing.",
                                                  name));
  return out;
}

constexpr std::string_view kBadSignedHeaders =
    "SignedHeaders must be lower-case names in rising order, separated by ';'.";

std::unexpected<Refusal> bad_parameters(Bytes message) {
  return refuse("AuthorizationQueryParametersError", 400, std::move(message));
}

struct QueryParts {
  std::string_view algorithm, credential, amz_date, expires, signed_names, signature;
};

Verdict<QueryParts> read_parameters(const Query& query) {
  QueryParts out;
  for (const QueryItem& item : query) {
    if (item.name == "X-Amz-Security-Token") return session_token();
    std::string_view* const slot = item.name == "X-Amz-Algorithm"       ? &out.algorithm
                                   : item.name == "X-Amz-Credential"    ? &out.credential
                                   : item.name == "X-Amz-Date"          ? &out.amz_date
                                   : item.name == "X-Amz-Expires"       ? &out.expires
                                   : item.name == "X-Amz-SignedHeaders" ? &out.signed_names
                                   : item.name == kSignature            ? &out.signature
                                                                        : nullptr;
    if (slot == nullptr) continue;
    if (!slot->empty()) return bad_parameters(fmt::format("{} is there twice.", item.name));
    *slot = item.value;
  }
  if (out.algorithm == kV4EcdsaAlgorithm) return ecdsa_not_built();
  for (std::string_view part :
       {out.algorithm, out.credential, out.amz_date, out.expires, out.signed_names, out.signature})
    if (part.empty())
      return bad_parameters(
          "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
          "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
  if (out.algorithm != kV4Algorithm) return bad_parameters("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
  return out;
}

Verdict<int64_t> read_expires(std::string_view text) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool number = end == text.data() + text.size();
  if (error == std::errc::invalid_argument || !number) return bad_parameters("X-Amz-Expires should be a number");
  if (text.front() == '-') return bad_parameters("X-Amz-Expires must be non-negative");
  if (error == std::errc::result_out_of_range || seconds > kExpiresSecondsMax)
    return bad_parameters(
        "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
        "604800 seconds");
  if (seconds == 0) return bad_parameters("X-Amz-Expires must be at least 1 second");
  return seconds;
}

// Some clients hoist the header into the query; most sign the word for "unsigned" and say it nowhere.
std::string_view presigned_payload(const http::RequestHead& head, const Query& query) {
  if (const auto field = head.field(kContentDigest)) return *field;
  return query_value(query, "X-Amz-Content-Sha256").value_or(payload_mode_text(PayloadMode::Unsigned));
}

Verdict<std::vector<Bytes>> names_to_sign(const http::RequestHead& head, const std::vector<Bytes>& more) {
  if (!head.field("host")) return refuse("InvalidRequest", 400, "Missing required header for this request: host");
  std::vector<Bytes> out = more;
  for (const auto& field : head.fields) {
    const Bytes name = lower_case(field.name);
    if (name == "host" || name == "content-type" || name == "content-md5" || is_amz_field(name)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

Verdict<Authenticated> verify_v4_header(const http::RequestHead& head, const ScopeRule& rule,
                                        const SigningKeyLookup& keys, UnixMicros now) {
  TRY(AuthorizationParts parts, read_authorization(head.field("authorization").value_or("")));
  if (head.field("x-amz-security-token")) return session_token();
  Claim claim;
  claim.scheme = Scheme::V4Header;
  TRY_DO(read_date(head, claim));
  TRY(claim.scope, read_scope(Place::Header, parts.credential, claim.amz_date, rule));
  std::optional<std::vector<Bytes>> names = split_names(parts.signed_names);
  if (!names) return malformed(Place::Header, kBadSignedHeaders);
  claim.signed_names = *std::move(names);
  const std::optional<std::string_view> payload = head.field(kContentDigest);
  if (!payload) return refuse("InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256");
  if (claim.time_s > now.seconds() + kSkewSecondsMax || claim.time_s < now.seconds() - kSkewSecondsMax)
    return time_skewed(claim.amz_date, now);
  const std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  return verify(head, *query, std::move(claim), *payload, parts.signature, keys);
}

Verdict<Authenticated> verify_v4_query(const http::RequestHead& head, const ScopeRule& rule,
                                       const SigningKeyLookup& keys, UnixMicros now) {
  const std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  if (head.field("x-amz-security-token")) return session_token();
  TRY(QueryParts parts, read_parameters(*query));
  Claim claim;
  claim.scheme = Scheme::V4Query;
  if (!parse_amz_date(parts.amz_date, claim.time_s))
    return bad_parameters("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  claim.amz_date = parts.amz_date;
  TRY(const int64_t expires_s, read_expires(parts.expires));
  TRY(claim.scope, read_scope(Place::Query, parts.credential, claim.amz_date, rule));
  std::optional<std::vector<Bytes>> names = split_names(parts.signed_names);
  if (!names) return bad_parameters(Bytes(kBadSignedHeaders));
  claim.signed_names = *std::move(names);
  if (claim.time_s > now.seconds() + kSkewSecondsMax) return refuse("AccessDenied", 403, "Request is not yet valid");
  if (now.seconds() > claim.time_s + expires_s) return expired(claim.time_s + expires_s, now);
  return verify(head, *query, std::move(claim), presigned_payload(head, *query), parts.signature, keys);
}

Verdict<SignedHeader> sign_v4_header(const http::RequestHead& head, const Credentials& credentials,
                                     const std::vector<Bytes>& more) {
  Claim claim;
  claim.scheme = Scheme::V4Header;
  TRY_DO(read_date(head, claim));
  claim.scope = Scope{credentials.access_key_id, claim.amz_date.substr(0, 8), credentials.region};
  TRY(claim.signed_names, names_to_sign(head, more));
  const std::optional<std::string_view> payload = head.field(kContentDigest);
  if (!payload) return refuse("InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256");
  const std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  const SigningKey key = derive_signing_key(credentials.secret, claim.scope);
  TRY(Computed computed, compute(head, *query, claim, *payload, key));
  Bytes value = fmt::format("{} Credential={},SignedHeaders={},Signature={}", kV4Algorithm, claim.scope.credential(),
                            join_names(claim.signed_names), computed.signature);
  return SignedHeader{std::move(value),
                      {std::move(computed.signature), key, std::move(claim.amz_date), claim.scope.text()}};
}

Verdict<Bytes> presign_v4(const http::RequestHead& head, const Credentials& credentials, UnixMicros time,
                          int64_t expires_s, const std::vector<Bytes>& more) {
  Claim claim;
  claim.scheme = Scheme::V4Query;
  claim.amz_date = format_amz_date(time.seconds());
  claim.scope = Scope{credentials.access_key_id, claim.amz_date.substr(0, 8), credentials.region};
  TRY(claim.signed_names, names_to_sign(head, more));
  std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  const Bytes payload(presigned_payload(head, *query));
  query->push_back({"X-Amz-Algorithm", Bytes(kV4Algorithm)});
  query->push_back({"X-Amz-Credential", claim.scope.credential()});
  query->push_back({"X-Amz-Date", claim.amz_date});
  query->push_back({"X-Amz-Expires", fmt::to_string(expires_s)});
  query->push_back({"X-Amz-SignedHeaders", join_names(claim.signed_names)});
  TRY(Computed computed, compute(head, *query, claim, payload, derive_signing_key(credentials.secret, claim.scope)));
  return canonical_query(*query) + "&" + Bytes(kSignature) + "=" + computed.signature;
}

}  // namespace hailstone::s3auth
