// Byte strings: owned and borrowed. Text and binary data share these types; keys are arbitrary bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hailstone {

using Bytes = std::string;
using ByteView = std::string_view;

/// "0f1e2d"; two lower-case digits per byte.
Bytes to_hex(ByteView bytes);
/// Inverse of to_hex, either case. False on an odd length or a non-hex digit.
bool from_hex(std::string_view text, Bytes& out);

/// RFC 4648 §4 with padding.
Bytes to_base64(ByteView bytes);
bool from_base64(std::string_view text, Bytes& out);

/// RFC 3986 §2.1: everything but unreserved characters and '/' as %XX.
Bytes percent_encode_path(ByteView path);
/// As above, but '/' is encoded too: for query values.
Bytes percent_encode(ByteView text);
/// False on a malformed escape. '+' is left alone.
bool percent_decode(std::string_view text, Bytes& out);

/// For messages: printable ASCII as is, anything else \xNN, cut at 200 characters.
Bytes printable(ByteView bytes);

}  // namespace hailstone
