#include "api/auth.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/sealing.h"
#include "http/grammar.h"

namespace hailstone::api {
namespace {

constexpr std::string_view kAll = "*";

Result<Bytes> random_hex(size_t bytes) {
  TRY(const Bytes random, random_bytes(bytes));
  return to_hex(random);
}

std::unexpected<Error> refused() { return fail(Code::Denied, "the access key or its secret is not known here"); }

}  // namespace

bool Identity::has(volume::Role role) const { return key && key->role >= role; }
bool Identity::covers_all() const { return key && std::ranges::find(key->volumes, kAll) != key->volumes.end(); }
bool Identity::covers(std::string_view volume) const {
  return key && (covers_all() || std::ranges::find(key->volumes, volume) != key->volumes.end());
}

Verdict require(const Identity& identity, volume::Role role, std::string_view volume) {
  if (identity.anonymous()) return Verdict::WhoAreYou;
  return identity.may(role, volume) ? Verdict::Allowed : Verdict::Forbidden;
}

Verdict require_release_read(const Identity& identity, std::string_view name, const volume::Volume* volume) {
  if (volume && volume->record.settings.public_read) return Verdict::Allowed;
  return require(identity, volume::Role::Reader, name);
}

Result<Identity> identify(const volume::State& state, const http::RequestHead& head) {
  const auto field = head.field("Authorization");
  if (!field) return Identity();
  const size_t space = field->find(' ');
  if (space == field->npos) return refused();
  const std::string_view scheme = field->substr(0, space);
  Bytes credentials;
  if (http::same_text(scheme, "Bearer")) {
    credentials = http::trim(field->substr(space));
  } else if (!http::same_text(scheme, "Basic") || !from_base64(http::trim(field->substr(space)), credentials)) {
    return refused();
  }
  const size_t colon = credentials.find(':');
  if (colon == Bytes::npos) return refused();
  return identify(state, ByteView(credentials).substr(0, colon), ByteView(credentials).substr(colon + 1));
}

Result<Identity> identify(const volume::State& state, std::string_view id, std::string_view secret) {
  const auto found = state.keys->find(id);
  // An unknown key costs the same hash and comparison as a wrong secret: time does not tell which ids exist.
  const Hash256 given = sha256(secret);
  static const Hash256 kNothing = sha256("no key has this secret");
  const bool known = found != state.keys->end() && found->second->secret_hash.size() == given.bytes.size();
  const ByteView kept = known ? ByteView(found->second->secret_hash) : kNothing.view();
  const bool equal = CRYPTO_memcmp(given.bytes.data(), kept.data(), given.bytes.size()) == 0;
  if (!known || !equal) return refused();
  return Identity{found->second};
}

Result<NewKey> make_key(Bytes name, volume::Role role, std::vector<Bytes> volumes, ByteView master_key,
                        UnixMicros now) {
  constexpr size_t kNameBytesMax = 128, kVolumesMax = 1000;
  if (name.empty() || name.size() > kNameBytesMax)
    return fail(Code::Invalid,
                fmt::format("access key's name '{}' must have 1 to {} bytes", printable(name), kNameBytesMax));
  if (volumes.empty() || volumes.size() > kVolumesMax)
    return fail(Code::Invalid,
                fmt::format("access key '{}' needs 1 to {} volumes, or [\"*\"] for all", printable(name), kVolumesMax));
  for (const Bytes& volume : volumes)
    if (volume != kAll) TRY_DO(volume::validate_volume_name(volume));
  NewKey out;
  // Ids are shaped so that S3 clients take them as access key ids: letters and digits, 20 of them.
  TRY(Bytes id, random_hex(9));
  std::ranges::transform(id, id.begin(), [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  TRY(out.secret, random_hex(32));
  out.key = {.id = "HS" + id,
             .name = std::move(name),
             .role = role,
             .volumes = std::move(volumes),
             .secret_hash = Bytes(sha256(out.secret).view()),
             .created = now};
  TRY(out.key.sealed_secret, seal_secret(master_key, out.key.id, out.secret));
  return out;
}

}  // namespace hailstone::api
