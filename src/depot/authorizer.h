// Who may read a volume that is not public: the seam to whoever keeps the access keys.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "volume/state.h"

namespace hailstone::depot {

struct Credentials {
  Bytes key_id;
  Bytes secret;
  bool operator==(const Credentials&) const = default;
};

/// `Authorization: Basic base64(KEYID:SECRET)` (RFC 7617) or `Bearer KEYID:SECRET`. Nothing when it is neither.
std::optional<Credentials> parse_authorization(std::string_view value);

enum class Access : uint8_t {
  Granted,
  Unknown,    // no such key, or a wrong secret: 401
  Forbidden,  // a good key that may not read this volume: 403
};

/// Called on every server thread at once, for each request to a volume that is not public: thread-safe and fast.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  /// May the bearer of `credentials` read `volume` with role Reader or better? `state` has the keys. Secrets are
  /// compared in constant time.
  virtual Access check(const volume::State& state, const Credentials& credentials,
                       const volume::Volume& volume) const = 0;
};

}  // namespace hailstone::depot
