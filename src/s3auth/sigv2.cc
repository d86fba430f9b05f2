#include "s3auth/sigv2.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "base/error.h"
#include "http/grammar.h"
#include "s3auth/canonical.h"
#include "s3auth/hmac.h"
#include "s3auth/refusals.h"

namespace hailstone::s3auth {
namespace {

// Query parameters that are part of the resource: S3's list, as its SDKs sign it. Sorted.
constexpr std::array<std::string_view, 35> kSubresources = {"accelerate",
                                                            "acl",
                                                            "analytics",
                                                            "cors",
                                                            "defaultObjectAcl",
                                                            "delete",
                                                            "inventory",
                                                            "lifecycle",
                                                            "location",
                                                            "logging",
                                                            "metrics",
                                                            "notification",
                                                            "object-lock",
                                                            "partNumber",
                                                            "policy",
                                                            "replication",
                                                            "requestPayment",
                                                            "response-cache-control",
                                                            "response-content-disposition",
                                                            "response-content-encoding",
                                                            "response-content-language",
                                                            "response-content-type",
                                                            "response-expires",
                                                            "restore",
                                                            "select",
                                                            "select-type",
                                                            "storageClass",
                                                            "tagging",
                                                            "torrent",
                                                            "uploadId",
                                                            "uploads",
                                                            "versionId",
                                                            "versioning",
                                                            "versions",
                                                            "website"};
static_assert(std::is_sorted(kSubresources.begin(), kSubresources.end()));

Bytes signature_of(std::string_view secret, ByteView string_to_sign) {
  return to_base64(hmac_sha1(secret, string_to_sign));
}

// "a" and "a=" differ here, so this reads the raw query itself; values are signed decoded.
std::optional<Bytes> subresources(std::string_view raw) {
  std::multimap<Bytes, std::optional<Bytes>> found;
  while (!raw.empty()) {
    const size_t end = raw.find('&');
    const std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 1);
    const std::optional<Query> item = parse_query(pair);
    if (!item) return std::nullopt;
    if (item->empty() || !std::binary_search(kSubresources.begin(), kSubresources.end(), item->front().name)) continue;
    const bool has_value = pair.find('=') != std::string_view::npos;
    found.emplace(item->front().name, has_value ? std::optional(item->front().value) : std::nullopt);
  }
  Bytes out;
  for (const auto& [name, value] : found) {
    out.append(out.empty() ? "?" : "&").append(name);
    if (value) out.append("=").append(*value);
  }
  return out;
}

Bytes amz_lines(const http::RequestHead& head) {
  std::map<Bytes, Bytes> lines;
  for (const auto& field : head.fields) {
    Bytes name(field.name);
    std::transform(name.begin(), name.end(), name.begin(), http::lower);
    if (name.starts_with("x-amz-")) lines.emplace(name, canonical_value(head, name));
  }
  Bytes out;
  for (const auto& [name, value] : lines) out.append(name).append(":").append(value).append("\n");
  return out;
}

Verdict<Authenticated> verify(const http::RequestHead& head, std::string_view bucket_in_host, std::string_view date,
                              std::string_view access_key_id, std::string_view signature, const SecretLookup& secrets,
                              Scheme scheme) {
  const std::optional<Bytes> secret = secrets(access_key_id);
  if (!secret) return unknown_key(access_key_id);
  const std::optional<Bytes> to_sign = string_to_sign_v2(head, bucket_in_host, date);
  if (!to_sign) return bad_uri();
  if (!equal_in_constant_time(signature_of(*secret, *to_sign), signature))
    return signature_mismatch(access_key_id, *to_sign, signature, "");
  Authenticated out;
  out.access_key_id = access_key_id;
  out.scheme = scheme;
  return out;
}

// What stands on the Date line, and the time it or X-Amz-Date gives.
struct RequestDate {
  std::string_view line, text;
  int64_t time_s = 0;
};
Verdict<RequestDate> read_date(const http::RequestHead& head) {
  RequestDate out;
  const std::optional<std::string_view> amz = head.field("x-amz-date"), date = head.field("date");
  if (!amz && !date) return no_date();
  out.text = amz ? *amz : *date;
  out.line = amz ? "" : *date;
  if (!parse_request_date(out.text, out.time_s)) return no_date();
  return out;
}

}  // namespace

std::optional<Bytes> string_to_sign_v2(const http::RequestHead& head, std::string_view bucket_in_host,
                                       std::string_view date) {
  const std::optional<Bytes> query = subresources(head.query);
  if (!query) return std::nullopt;
  Bytes out = fmt::format("{}\n{}\n{}\n{}\n{}", head.method_text, head.field("content-md5").value_or(""),
                          head.field("content-type").value_or(""), date, amz_lines(head));
  if (!bucket_in_host.empty()) out.append("/").append(bucket_in_host);
  return out.append(head.path).append(*query);
}

Verdict<Authenticated> verify_v2_header(const http::RequestHead& head, std::string_view bucket_in_host,
                                        const SecretLookup& secrets, UnixMicros now) {
  std::string_view value = head.field("authorization").value_or("");
  const size_t colon = value.rfind(':');
  if (!value.starts_with("AWS ") || colon == std::string_view::npos || colon < 5)
    return refuse("InvalidArgument", 400, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
                  {{"ArgumentName", "Authorization"}, {"ArgumentValue", Bytes(value)}});
  if (head.field("x-amz-security-token")) return session_token();
  TRY(const RequestDate date, read_date(head));
  if (date.time_s > now.seconds() + kSkewSecondsMax || date.time_s < now.seconds() - kSkewSecondsMax)
    return time_skewed(date.text, now);
  return verify(head, bucket_in_host, date.line, http::trim(value.substr(4, colon - 4)), value.substr(colon + 1),
                secrets, Scheme::V2Header);
}

Verdict<Authenticated> verify_v2_query(const http::RequestHead& head, std::string_view bucket_in_host,
                                       const SecretLookup& secrets, UnixMicros now) {
  const std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  if (query_value(*query, "x-amz-security-token") || head.field("x-amz-security-token")) return session_token();
  const auto id = query_value(*query, "AWSAccessKeyId"), expires = query_value(*query, "Expires"),
             signature = query_value(*query, "Signature");
  if (!id || !expires || !signature)
    return refuse("AccessDenied", 403,
                  "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
  int64_t expires_at_s = 0;
  const auto [end, error] = std::from_chars(expires->data(), expires->data() + expires->size(), expires_at_s);
  constexpr int64_t kLatest = int64_t{1} << 40;  // far beyond any use, far below overflow in microseconds
  if (error != std::errc() || end != expires->data() + expires->size() || expires_at_s < 0 || expires_at_s > kLatest)
    return refuse("AccessDenied", 403,
                  fmt::format("Invalid date (should be seconds since epoch): {}", printable(*expires)));
  if (now.seconds() > expires_at_s) return expired(expires_at_s, now);
  return verify(head, bucket_in_host, *expires, *id, *signature, secrets, Scheme::V2Query);
}

Verdict<Bytes> sign_v2_header(const http::RequestHead& head, std::string_view bucket_in_host,
                              const Credentials& credentials) {
  TRY(const RequestDate date, read_date(head));
  const std::optional<Bytes> to_sign = string_to_sign_v2(head, bucket_in_host, date.line);
  if (!to_sign) return bad_uri();
  return "AWS " + credentials.access_key_id + ":" + signature_of(credentials.secret, *to_sign);
}

Verdict<Bytes> presign_v2(const http::RequestHead& head, std::string_view bucket_in_host,
                          const Credentials& credentials, int64_t expires_at_s) {
  const Bytes expires = fmt::to_string(expires_at_s);
  const std::optional<Bytes> to_sign = string_to_sign_v2(head, bucket_in_host, expires);
  if (!to_sign) return bad_uri();
  return fmt::format("{}{}AWSAccessKeyId={}&Expires={}&Signature={}", head.query, head.query.empty() ? "" : "&",
                     percent_encode(credentials.access_key_id), expires,
                     percent_encode(signature_of(credentials.secret, *to_sign)));
}

}  // namespace hailstone::s3auth
