// From a request to who sent it, whichever way it is signed. Pure.
#pragma once

#include <string_view>

#include "base/ids.h"
#include "http/message.h"
#include "s3auth/authenticated.h"
#include "s3auth/refusals.h"
#include "s3auth/scope.h"

namespace hailstone::s3auth {

enum class V2Rule : uint8_t { Refuse, Accept };

struct AuthenticateOptions {
  ScopeRule scope;
  V2Rule v2 = V2Rule::Refuse;
  std::string_view bucket_in_host;  // version 2 only: of a virtual-hosted request
};

/// Where the signature stands. InvalidArgument when there is more than one, or an Authorization of another kind.
Verdict<Scheme> scheme_of(const http::RequestHead& head);

/// Scheme::Anonymous with an empty access key id when nothing is signed: what that may do is for the caller.
Verdict<Authenticated> authenticate(const http::RequestHead& head, const AuthenticateOptions& options,
                                    const SigningKeyLookup& keys, const SecretLookup& secrets, UnixMicros now);

}  // namespace hailstone::s3auth
