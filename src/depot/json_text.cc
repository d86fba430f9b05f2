#include "depot/json_text.h"

#include "publish/utf8.h"

namespace hailstone::depot {

void set_text(Json& object, const std::string& member, ByteView text) {
  if (publish::valid_utf8(text)) {
    object[member] = text;
  } else {
    object[member + "_base64"] = to_base64(text);
  }
}

}  // namespace hailstone::depot
