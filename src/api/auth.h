// Who a request comes from and what they may do: access keys, their secrets, roles. The depot's rules stand on this
// too.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "http/message.h"
#include "volume/records.h"
#include "volume/state.h"

namespace hailstone::api {

/// Nobody in particular, or the holder of an access key.
struct Identity {
  std::shared_ptr<const volume::AccessKey> key;  // null: anonymous

  bool anonymous() const { return key == nullptr; }
  Bytes name() const { return key ? key->name : Bytes(); }
  /// The key has this role or a higher one.
  bool has(volume::Role role) const;
  bool covers(std::string_view volume) const;
  bool covers_all() const;
  bool may(volume::Role role, std::string_view volume) const { return has(role) && covers(volume); }
};

/// Answers 200, 401 and 403.
enum class Verdict : uint8_t { Allowed, WhoAreYou, Forbidden };

/// Allowed, or WhoAreYou for the anonymous and Forbidden for everybody else.
Verdict require(const Identity& identity, volume::Role role, std::string_view volume);
/// As require(), but a public volume's releases may be read by anybody. `volume` is null when there is no such volume:
/// the answer to who may not know is the same whether it exists.
Verdict require_release_read(const Identity& identity, std::string_view name, const volume::Volume* volume);

/// The holder of a key of `state`. Denied when the key is unknown or the secret wrong: the two are not told apart, by
/// the answer or by the time it takes.
Result<Identity> identify(const volume::State& state, std::string_view id, std::string_view secret);

/// The same from a request. Without an Authorization field: anonymous. "Bearer ID:SECRET" and "Basic base64(ID:SECRET)"
/// name a key; anything else is Denied (answer 401) even where nobody need say who they are.
Result<Identity> identify(const volume::State& state, const http::RequestHead& head);

/// A key that is about to be stored, and the secret that its holder is shown once.
struct NewKey {
  volume::AccessKey key;
  Bytes secret;  // 64 hex digits: 32 bytes from the system's random source
};
/// Invalid: the name is empty or longer than 128 bytes, no volume, or one that is neither a volume's name nor "*".
/// Io: there is no randomness to be had.
/// `master_key` seals the secret, which S3's signatures need again.
Result<NewKey> make_key(Bytes name, volume::Role role, std::vector<Bytes> volumes, ByteView master_key, UnixMicros now);

}  // namespace hailstone::api
