#include "api/access.h"

namespace hailstone::api {

TargetName split_target(std::string_view target) {
  const size_t at = target.find('@');
  if (at == target.npos) return {target, false};
  return {target.substr(0, at), !target.substr(at + 1).starts_with("draft-")};
}

Verdict authorize(const Match& match, const Identity& identity, const volume::State& state) {
  const Endpoint& endpoint = *match.endpoint;
  const auto allowed_if = [&](bool condition) {
    if (identity.anonymous()) return Verdict::WhoAreYou;
    return condition ? Verdict::Allowed : Verdict::Forbidden;
  };
  switch (endpoint.scope) {
    case Scope::Public: return Verdict::Allowed;
    case Scope::Cell: return allowed_if(identity.has(endpoint.role) && identity.covers_all());
    case Scope::Key: return allowed_if(identity.has(endpoint.role));
    case Scope::Volume: return require(identity, endpoint.role, match.segment("volume"));
    case Scope::Releases: {
      const Bytes& name = match.segment("volume");
      return require_release_read(identity, name, state.find(name).get());
    }
    case Scope::Target: {
      TargetName target = split_target(match.segment("target"));
      // Only releases have an index: a bare volume means its current one.
      if (endpoint.route == Route::Search && target.volume == match.segment("target")) target.release = true;
      if (endpoint.role == volume::Role::Reader && target.release)
        return require_release_read(identity, target.volume, state.find(target.volume).get());
      return require(identity, endpoint.role, target.volume);
    }
  }
  return Verdict::Forbidden;
}

}  // namespace hailstone::api
