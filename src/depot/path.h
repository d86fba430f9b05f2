// What a request path asks for, before anything is looked up: volume, selector, key or special endpoint. Pure.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace hailstone::depot {

/// What stands after '@' in "/volume@selector/": nothing, a release's number, the name of a channel or tag, or a time.
struct Selector {
  enum class Kind : uint8_t { None, Number, Name, Time };
  Kind kind = Kind::None;
  ReleaseNumber number;  // Number
  UnixMicros time;       // Time
  Bytes text;            // as asked, decoded; the name itself for Name
  bool operator==(const Selector&) const = default;
};

struct Path {
  enum class Kind : uint8_t {
    Root,      // "/"
    Volume,    // "/volume" or "/volume@selector": wants a slash
    Key,       // "/volume/...": `key` may be empty (the volume's root) and may end with '/' (a directory)
    Endpoint,  // "/volume/-/name": `key` is the name
  };
  Kind kind = Kind::Root;
  Bytes volume;  // not validated: an impossible name is one that no volume has
  Selector selector;
  Bytes key;  // percent-decoded
  bool operator==(const Path&) const = default;
};

/// Parses the path of a request, still percent-encoded and without its query.
///
/// The whole path is decoded first, so "%2F" is a slash and "%2E" a dot. "." segments vanish (RFC 3986 §5.2.4: apt asks
/// for
/// "/volume/./Packages" of a flat repository). ".." segments and NUL are refused. Empty segments are part of the key:
/// "/volume//a" is the key "/a", as S3 writes it, so that every key but those with dot segments has exactly one path.
/// Invalid says what is wrong with it.
Result<Path> parse_path(std::string_view encoded);

/// "/volume@selector" or "/volume", percent-encoded, without a slash at its end.
Bytes encode_base(ByteView volume, const Selector& selector);
/// "/volume@42".
Bytes encode_base(ByteView volume, ReleaseNumber release);

}  // namespace hailstone::depot
