// JSON objects with ordered members, and byte strings in them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/bytes.h"

namespace hailstone::depot {

using Json = nlohmann::ordered_json;

/// JSON text is UTF-8: other bytes stand as base64 under "<member>_base64".
void set_text(Json& object, const std::string& member, ByteView text);

}  // namespace hailstone::depot
