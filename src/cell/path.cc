#include "cell/path.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::cell {

Result<void> validate_path(ByteView path) {
  const auto invalid = [&](std::string_view why) {
    return fail(Code::Invalid, fmt::format("path '{}': {}", printable(path), why));
  };
  if (path.empty() || path.front() != '/') return invalid("does not begin with '/'");
  if (path == "/") return {};
  size_t depth = 0;
  for (size_t at = 1;; ++depth) {
    const size_t end = std::min(path.find('/', at), path.size());
    const ByteView name = path.substr(at, end - at);
    if (name.empty()) return invalid("has an empty name in it");
    if (name.size() > kComponentBytesMax) return invalid("has a name of more than 255 bytes");
    if (name.contains('\0')) return invalid("has a NUL in it");
    if (depth == kDepthMax) return invalid("has more than 32 names");
    if (end == path.size()) return {};
    at = end + 1;
  }
}

ByteView parent_of(ByteView path) { return path.substr(0, std::max<size_t>(path.rfind('/'), 1)); }

Bytes join(ByteView directory, ByteView name) {
  Bytes out(directory == "/" ? "" : directory);
  out += '/';
  return out.append(name);
}

bool covers(ByteView prefix, ByteView path) {
  return prefix == "/" || (path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/'));
}

Bytes path_key(ByteView path) {
  Bytes key;
  append_path_key(key, path);
  return key;
}

void append_path_key(Bytes& out, ByteView path) {
  const size_t begin = out.size();
  out.append(path.substr(1));
  std::replace(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), '/', '\0');
}

Bytes path_of_key(ByteView key) {
  Bytes path = "/" + Bytes(key);
  std::ranges::replace(path, '\0', '/');
  return path;
}

KeyRange keys_beneath(ByteView path) {
  const Bytes key = path_key(path);
  // No name begins with a NUL, so these bounds leave out the root's own key, and 0xff bytes in names stay inside.
  if (key.empty()) return {.begin = "\x01", .end = Bytes(kComponentBytesMax + 1, '\xff')};
  return {.begin = key + '\0', .end = key + '\x01'};
}

}  // namespace hailstone::cell
