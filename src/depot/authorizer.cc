#include "depot/authorizer.h"

namespace hailstone::depot {
namespace {

// Takes "Name " off the front, ASCII case ignored (RFC 9110 §11.1).
bool take_scheme(std::string_view& value, std::string_view lower) {
  if (value.size() <= lower.size() || value[lower.size()] != ' ') return false;
  for (size_t i = 0; i < lower.size(); ++i)
    if ((value[i] | 0x20) != lower[i]) return false;
  value.remove_prefix(lower.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  return true;
}

std::optional<Credentials> split(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  return Credentials{Bytes(text.substr(0, colon)), Bytes(text.substr(colon + 1))};
}

}  // namespace

std::optional<Credentials> parse_authorization(std::string_view value) {
  if (take_scheme(value, "bearer")) return split(value);
  Bytes decoded;
  if (take_scheme(value, "basic") && from_base64(value, decoded)) return split(decoded);
  return std::nullopt;
}

}  // namespace hailstone::depot
