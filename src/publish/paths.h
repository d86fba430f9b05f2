// Keys as paths: parent directories, and relative references as indexes and symbolic links write them.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace hailstone::publish {

/// "a/b" of "a/b/c"; empty for a key without '/'.
inline ByteView parent_of(ByteView key) {
  const size_t slash = key.rfind('/');
  return slash == key.npos ? ByteView() : key.substr(0, slash);
}

/// "c" of "a/b/c".
inline ByteView name_of(ByteView key) {
  const size_t slash = key.rfind('/');
  return slash == key.npos ? key : key.substr(slash + 1);
}

/// "a/b", or just "b" in the empty directory.
inline Bytes join(ByteView directory, ByteView name) {
  return directory.empty() ? Bytes(name) : Bytes(directory) + "/" + Bytes(name);
}

/// The key that `reference` means within `directory`, "." and ".." resolved. Nothing when it is absolute, empty, or
/// leads out of the volume.
inline std::optional<Bytes> relative_path(ByteView directory, ByteView reference) {
  if (reference.empty() || reference.starts_with('/')) return {};
  Bytes out(directory);
  while (!reference.empty()) {
    const ByteView part = reference.substr(0, reference.find('/'));
    reference.remove_prefix(std::min(part.size() + 1, reference.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (out.empty()) return {};
      out = Bytes(parent_of(out));
      continue;
    }
    if (!out.empty()) out += '/';
    out += part;
  }
  if (out.empty()) return {};
  return out;
}

}  // namespace hailstone::publish
