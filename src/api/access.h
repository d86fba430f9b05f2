// Whether a caller may use a matched endpoint: the router's table applied to an identity, without I/O.
#pragma once

#include "api/auth.h"
#include "api/router.h"

namespace hailstone::api {

/// What endpoints of scope Key do with the volumes named in a body is not decided here: they call require().
Verdict authorize(const Match& match, const Identity& identity, const volume::State& state);

/// "volume@42" and the like: the part before '@', and whether the rest names something immutable or public to read.
struct TargetName {
  std::string_view volume;
  bool release = false;  // '@' with anything but a draft
};
TargetName split_target(std::string_view target);

}  // namespace hailstone::api
