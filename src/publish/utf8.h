// UTF-8 as RFC 3629 allows it: one code point at a time, for texts that must not carry anything else.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace hailstone::publish {

/// Takes the next code point off `text`, which is not empty. On a malformed sequence it takes one byte and returns
/// nothing: overlong forms, surrogates, values above U+10FFFF and cut sequences are malformed.
std::optional<uint32_t> take_code_point(ByteView& text);

bool valid_utf8(ByteView text);

}  // namespace hailstone::publish
