// Credential scopes, signing keys and timestamps of AWS Signature Version 4.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/ids.h"

namespace hailstone::s3auth {

inline constexpr std::string_view kV4Algorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kV4EcdsaAlgorithm = "AWS4-ECDSA-P256-SHA256";  // known, not built
inline constexpr std::string_view kV4Terminal = "aws4_request";
inline constexpr int64_t kSkewSecondsMax = 15 * 60;

/// What a signing key is good for: "AKID/20130524/us-east-1/s3/aws4_request".
struct Scope {
  Bytes access_key_id;
  Bytes date;  // YYYYMMDD
  Bytes region;
  Bytes service = "s3";
  Bytes terminal{kV4Terminal};
  bool operator==(const Scope&) const = default;

  /// Nothing unless there are five parts; the access key id may hold '/' itself.
  static std::optional<Scope> parse(std::string_view credential);
  /// As in strings to sign: without the access key id.
  Bytes text() const;
  Bytes credential() const;
};

/// Signs for one key, day, region and service. As secret as the key for that day.
using SigningKey = Hash256;
SigningKey derive_signing_key(std::string_view secret, const Scope& scope);

/// The secret of an access key id; nothing when there is no such key.
using SecretLookup = std::function<std::optional<Bytes>(std::string_view access_key_id)>;
/// A caller may cache: a key does not change within its scope while the secret stays.
using SigningKeyLookup = std::function<std::optional<SigningKey>(const Scope& scope)>;
SigningKeyLookup derive_from(SecretLookup secrets);

/// "20130524T000000Z".
Bytes format_amz_date(int64_t unix_seconds);
bool parse_amz_date(std::string_view text, int64_t& unix_seconds);
/// That, or "Fri, 24 May 2013 00:00:00 GMT", or the same with +0000 as some clients of version 2 write it.
bool parse_request_date(std::string_view text, int64_t& unix_seconds);

}  // namespace hailstone::s3auth
