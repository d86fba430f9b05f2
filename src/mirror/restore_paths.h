// Whether a set of keys can be a directory tree: the guard that keeps an export inside its own tree.
#pragma once

#include <vector>

#include "mirror/plan.h"

namespace hailstone::mirror {

/// A name no key may have: files are written under it before they take their place.
inline constexpr ByteView kTemporaryName = ".hailstone-restore.tmp";

/// A directory's entry, or an S3 "folder": an empty object whose key ends with '/'.
inline bool is_directory(const KeyEntry& item) {
  return item.entry.kind == volume::Kind::Directory ||
         (item.entry.kind == volume::Kind::File && item.entry.content.bytes == 0 && item.key.ends_with('/'));
}

/// `entries` sorted by key, all beginning with `prefix`. Invalid with a list of the offending keys: empty, "." or ".."
/// components, NUL, components over 255 bytes, a directory's key without '/' or another's with it, a name that would be
/// both a directory and something else.
Result<void> check_paths(const std::vector<KeyEntry>& entries, ByteView prefix);

}  // namespace hailstone::mirror
