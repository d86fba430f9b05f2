#include "depot/facts.h"

namespace hailstone::depot {
namespace {

// `name` in any case; `lower` in lower case.
bool is(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + ('a' - 'A')) : name[i];
    if (c != lower[i]) return false;
  }
  return true;
}

void pick(Facts::Field& field, std::string_view value) {
  if (!field) field = value;
}

}  // namespace

Facts read_facts(const http::RequestHead& head) {
  Facts out;
  for (const auto& [name, value] : head.fields) {
    switch (name.size()) {  // most fields are none of these and cost one comparison
      case 5:
        if (is(name, "range")) out.ranged = out.conditional = true;
        break;
      case 6:
        if (is(name, "accept")) pick(out.accept, value);
        if (is(name, "cookie")) pick(out.cookie, value);
        break;
      case 8:
        if (is(name, "if-match") || is(name, "if-range")) out.conditional = true;
        break;
      case 13:
        if (is(name, "authorization")) pick(out.authorization, value);
        if (is(name, "if-none-match")) out.conditional = true;
        break;
      case 15:
        if (is(name, "accept-encoding")) pick(out.accept_encoding, value);
        break;
      case 17:
        if (is(name, "if-modified-since")) out.conditional = true;
        break;
      case 19:
        if (is(name, "if-unmodified-since")) out.conditional = true;
        if (is(name, "if-release-at-least")) pick(out.release_at_least, value);
        break;
      default: break;
    }
  }
  return out;
}

}  // namespace hailstone::depot
