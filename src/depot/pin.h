// The cookie that keeps a browser on the release it saw first: `hailstone-pin=<volume>:<release>`.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace hailstone::depot {

/// The release this volume's pin names in a Cookie field. Anything malformed, or another volume's, is no pin.
std::optional<ReleaseNumber> read_pin(std::string_view cookie, ByteView volume);

/// The value of Set-Cookie: for this volume's path only, not readable by scripts.
Bytes make_pin(ByteView volume, ReleaseNumber release, uint32_t max_age_seconds, bool secure);

}  // namespace hailstone::depot
