// The request fields that the depot looks at, picked in one pass over the head.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace hailstone::depot {

struct Facts {
  using Field = std::optional<std::string_view>;
  Field accept, accept_encoding, authorization, cookie, release_at_least;
  bool conditional = false;  // has If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Range or If-Range
  bool ranged = false;       // has Range
};

/// The first field of each name counts.
Facts read_facts(const http::RequestHead& head);

}  // namespace hailstone::depot
