// Base URLs: where a server is, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hailstone::http {

struct BaseUrl {
  bool tls = false;
  std::string host;   // name or address, an IPv6 address without its brackets
  uint16_t port = 0;  // 80 or 443 where not written
  std::string path;   // "" or "/prefix", never ends in '/'; still percent-encoded
  bool operator==(const BaseUrl&) const = default;

  /// "http://host:port/prefix" or "https://...". Invalid, naming the text, for anything else, user info, query or
  /// fragment.
  static Result<BaseUrl> parse(std::string_view text);
  /// "host:port", an IPv6 address in brackets; the port is left out where it is the scheme's own. For Host fields.
  std::string authority() const;
  /// The same with the port always there, for messages.
  std::string host_port() const;
  std::string text() const;
};

}  // namespace hailstone::http
