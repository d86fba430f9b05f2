// AWS Signature Version 2 as S3 had it: Authorization header and query, for old clients. Pure.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "http/message.h"
#include "s3auth/authenticated.h"
#include "s3auth/sigv4.h"

namespace hailstone::s3auth {

/// `bucket_in_host`: the bucket of a virtual-hosted request, empty when the path has it.
Verdict<Authenticated> verify_v2_header(const http::RequestHead& head, std::string_view bucket_in_host,
                                        const SecretLookup& secrets, UnixMicros now);
Verdict<Authenticated> verify_v2_query(const http::RequestHead& head, std::string_view bucket_in_host,
                                       const SecretLookup& secrets, UnixMicros now);

/// Value of the Authorization field; `head` has Date or X-Amz-Date already.
Verdict<Bytes> sign_v2_header(const http::RequestHead& head, std::string_view bucket_in_host,
                              const Credentials& credentials);
/// The query to send: `head`'s own and the signature's.
Verdict<Bytes> presign_v2(const http::RequestHead& head, std::string_view bucket_in_host,
                          const Credentials& credentials, int64_t expires_at_s);

/// What is signed; `date` is the Date field, empty with X-Amz-Date, or the Expires parameter. Nothing on a malformed
/// escape in the query. The path stays as sent; of the query only the sub-resources are in it.
std::optional<Bytes> string_to_sign_v2(const http::RequestHead& head, std::string_view bucket_in_host,
                                       std::string_view date);

}  // namespace hailstone::s3auth
