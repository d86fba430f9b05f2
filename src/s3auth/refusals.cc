#include "s3auth/refusals.h"

#include <fmt/format.h>

#include "base/clock.h"

namespace hailstone::s3auth {
namespace {

// "47 45 54": as S3 shows bytes that do not print.
Bytes spaced_hex(ByteView bytes) {
  Bytes out;
  for (char c : bytes) {
    if (!out.empty()) out.push_back(' ');
    out += to_hex(ByteView(&c, 1));
  }
  return out;
}

Bytes iso_seconds(UnixMicros time) { return format_iso8601(UnixMicros{time.seconds() * 1'000'000}); }

}  // namespace

std::unexpected<Refusal> unknown_key(std::string_view access_key_id) {
  return refuse("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records.",
                {{"AWSAccessKeyId", Bytes(access_key_id)}});
}

std::unexpected<Refusal> signature_mismatch(std::string_view access_key_id, ByteView string_to_sign,
                                            std::string_view provided, ByteView canonical) {
  Refusal out{"SignatureDoesNotMatch",
              403,
              "The request signature we calculated does not match the signature you provided. Check your key and "
              "signing method.",
              {}};
  if (!access_key_id.empty()) out.details.emplace_back("AWSAccessKeyId", access_key_id);
  out.details.emplace_back("StringToSign", string_to_sign);
  out.details.emplace_back("SignatureProvided", provided);
  out.details.emplace_back("StringToSignBytes", spaced_hex(string_to_sign));
  if (!canonical.empty()) {
    out.details.emplace_back("CanonicalRequest", canonical);
    out.details.emplace_back("CanonicalRequestBytes", spaced_hex(canonical));
  }
  return std::unexpected(std::move(out));
}

std::unexpected<Refusal> bad_uri() { return refuse("InvalidURI", 400, "Couldn't parse the specified URI."); }

std::unexpected<Refusal> session_token() {
  return refuse("InvalidToken", 400,
                "The provided token is malformed or otherwise invalid: there are no session tokens here, sign with an "
                "access key alone.");
}

std::unexpected<Refusal> ecdsa_not_built() {
  return refuse("NotImplemented", 501,
                "A header you provided implies functionality that is not implemented: AWS4-ECDSA-P256-SHA256.");
}

std::unexpected<Refusal> time_skewed(std::string_view request_time, UnixMicros now) {
  return refuse("RequestTimeTooSkewed", 403,
                "The difference between the request time and the current time is too large.",
                {{"RequestTime", Bytes(request_time)},
                 {"ServerTime", iso_seconds(now)},
                 {"MaxAllowedSkewMilliseconds", fmt::to_string(kSkewSecondsMax * 1000)}});
}

std::unexpected<Refusal> expired(int64_t expired_at_s, UnixMicros now) {
  return refuse("AccessDenied", 403, "Request has expired",
                {{"Expires", iso_seconds(UnixMicros{expired_at_s * 1'000'000})}, {"ServerTime", iso_seconds(now)}});
}

std::unexpected<Refusal> no_date() {
  return refuse("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header");
}

std::unexpected<Refusal> malformed(Place place, std::string_view what,
                                   std::vector<std::pair<std::string_view, Bytes>> details) {
  switch (place) {
    case Place::Header:
      return refuse("AuthorizationHeaderMalformed", 400, fmt::format("The authorization header is malformed; {}", what),
                    std::move(details));
    case Place::Query:
      return refuse("AuthorizationQueryParametersError", 400,
                    fmt::format("Error parsing the X-Amz-Credential parameter; {}", what), std::move(details));
    case Place::Form: break;
  }
  return refuse("InvalidArgument", 400, fmt::format("Error parsing the X-Amz-Credential field; {}", what),
                std::move(details));
}

Verdict<Scope> read_scope(Place place, std::string_view credential, std::string_view amz_date, const ScopeRule& rule) {
  std::optional<Scope> scope = Scope::parse(credential);
  if (!scope)
    return malformed(place,
                     R"(the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".)");
  if (scope->terminal != kV4Terminal)
    return malformed(place, fmt::format("incorrect terminal \"{}\". This endpoint uses \"{}\".",
                                        printable(scope->terminal), kV4Terminal));
  if (scope->service != "s3")
    return malformed(
        place, fmt::format("incorrect service \"{}\". This endpoint belongs to \"s3\".", printable(scope->service)));
  if (rule.region_rule == RegionRule::Exact && scope->region != rule.region)
    return malformed(place,
                     fmt::format("the region '{}' is wrong; expecting '{}'", printable(scope->region), rule.region),
                     {{"Region", rule.region}});
  if (scope->date != amz_date.substr(0, 8))
    return malformed(place,
                     fmt::format("Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
                                 printable(scope->date), printable(amz_date.substr(0, 8))));
  return *std::move(scope);
}

}  // namespace hailstone::s3auth
