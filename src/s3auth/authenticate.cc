#include "s3auth/authenticate.h"

#include "base/error.h"
#include "http/grammar.h"
#include "s3auth/canonical.h"
#include "s3auth/sigv2.h"
#include "s3auth/sigv4.h"

namespace hailstone::s3auth {

Verdict<Scheme> scheme_of(const http::RequestHead& head) {
  const std::optional<Query> query = parse_query(head.query);
  if (!query) return bad_uri();
  const std::optional<std::string_view> header = head.field("authorization");
  const bool v4_query = query_value(*query, "X-Amz-Algorithm") || query_value(*query, "X-Amz-Signature") ||
                        query_value(*query, "X-Amz-Credential");
  const bool v2_query = query_value(*query, "Signature") || query_value(*query, "AWSAccessKeyId");
  size_t headers = 0;
  for (const auto& field : head.fields) headers += http::same_text(field.name, "authorization") ? 1 : 0;
  const size_t count = headers + (v4_query ? 1 : 0) + (v2_query ? 1 : 0);
  if (count > 1)
    return refuse("InvalidArgument", 400,
                  "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                  "parameter or the Authorization header should be specified",
                  {{"ArgumentName", "Authorization"}, {"ArgumentValue", Bytes(header.value_or(""))}});
  if (v4_query) return Scheme::V4Query;
  if (v2_query) return Scheme::V2Query;
  if (!header) return Scheme::Anonymous;
  if (header->starts_with("AWS ")) return Scheme::V2Header;
  if (header->starts_with("AWS4-")) return Scheme::V4Header;
  return refuse("InvalidArgument", 400, "Unsupported Authorization Type",
                {{"ArgumentName", "Authorization"}, {"ArgumentValue", Bytes(*header)}});
}

Verdict<Authenticated> authenticate(const http::RequestHead& head, const AuthenticateOptions& options,
                                    const SigningKeyLookup& keys, const SecretLookup& secrets, UnixMicros now) {
  TRY(const Scheme scheme, scheme_of(head));
  if ((scheme == Scheme::V2Header || scheme == Scheme::V2Query) && options.v2 == V2Rule::Refuse)
    return refuse("InvalidRequest", 400,
                  "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
  switch (scheme) {
    case Scheme::V4Header: return verify_v4_header(head, options.scope, keys, now);
    case Scheme::V4Query: return verify_v4_query(head, options.scope, keys, now);
    case Scheme::V2Header: return verify_v2_header(head, options.bucket_in_host, secrets, now);
    case Scheme::V2Query: return verify_v2_query(head, options.bucket_in_host, secrets, now);
    case Scheme::Anonymous: break;
  }
  Authenticated nobody;
  nobody.scheme = Scheme::Anonymous;
  return nobody;
}

}  // namespace hailstone::s3auth
