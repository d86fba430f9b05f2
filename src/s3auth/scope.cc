#include "s3auth/scope.h"

#include <array>
#include <utility>

#include "base/clock.h"
#include "s3auth/hmac.h"

namespace hailstone::s3auth {

std::optional<Scope> Scope::parse(std::string_view credential) {
  std::array<Bytes, 4> parts;  // terminal, service, region, date
  for (Bytes& part : parts) {
    const size_t slash = credential.rfind('/');
    if (slash == std::string_view::npos) return std::nullopt;
    part = credential.substr(slash + 1);
    credential = credential.substr(0, slash);
  }
  if (credential.empty()) return std::nullopt;
  auto& [terminal, service, region, date] = parts;
  return Scope{Bytes(credential), std::move(date), std::move(region), std::move(service), std::move(terminal)};
}

Bytes Scope::text() const { return date + "/" + region + "/" + service + "/" + terminal; }
Bytes Scope::credential() const { return access_key_id + "/" + text(); }

SigningKey derive_signing_key(std::string_view secret, const Scope& scope) {
  Hash256 key = hmac_sha256("AWS4" + Bytes(secret), scope.date);
  key = hmac_sha256(key.view(), scope.region);
  key = hmac_sha256(key.view(), scope.service);
  return hmac_sha256(key.view(), scope.terminal);
}

SigningKeyLookup derive_from(SecretLookup secrets) {
  return [secrets = std::move(secrets)](const Scope& scope) -> std::optional<SigningKey> {
    const std::optional<Bytes> secret = secrets(scope.access_key_id);
    if (!secret) return std::nullopt;
    return derive_signing_key(*secret, scope);
  };
}

Bytes format_amz_date(int64_t unix_seconds) {
  Bytes out;
  for (char c : format_iso8601(UnixMicros{unix_seconds * 1'000'000}))
    if (c != '-' && c != ':') out.push_back(c);
  return out;
}

bool parse_amz_date(std::string_view text, int64_t& unix_seconds) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return false;
  Bytes extended(text);
  for (size_t at : {13u, 11u}) extended.insert(at, ":");
  for (size_t at : {6u, 4u}) extended.insert(at, "-");
  UnixMicros time;
  if (!parse_iso8601(extended, time)) return false;
  unix_seconds = time.seconds();
  return format_amz_date(unix_seconds) == text;
}

bool parse_request_date(std::string_view text, int64_t& unix_seconds) {
  if (parse_amz_date(text, unix_seconds)) return true;
  constexpr std::string_view kUtc = "+0000";
  if (!text.ends_with(kUtc)) return parse_http_date(text, unix_seconds);
  return parse_http_date(Bytes(text.substr(0, text.size() - kUtc.size())) + "GMT", unix_seconds);
}

}  // namespace hailstone::s3auth
