// Paths of the cell's namespace: what is valid, and the form in which their byte order is that of the tree.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::cell {

inline constexpr size_t kComponentBytesMax = 255;
inline constexpr size_t kDepthMax = 32;

/// "/" or up to kDepthMax components of 1..kComponentBytesMax bytes, each after a '/'; no NUL, nothing after the last.
/// Invalid, naming the path, otherwise. Bytes are not interpreted: "." and ".." are names like any other.
Result<void> validate_path(ByteView path);

/// "/a" for "/a/b", "/" for "/a". Not for "/".
ByteView parent_of(ByteView path);
/// `name` beneath `directory`.
Bytes join(ByteView directory, ByteView name);

/// Whether `path` is `prefix` or beneath it, by whole components.
bool covers(ByteView prefix, ByteView path);

/// "/a/b" as "a\0b" and "/" as "": a directory's descendants are the keys that begin with its own and a NUL, and stand
/// together, in the order of their components.
Bytes path_key(ByteView path);
void append_path_key(Bytes& out, ByteView path);
Bytes path_of_key(ByteView key);
/// The keys of what is beneath a directory: [begin, end), without `table` before them.
struct KeyRange {
  Bytes begin, end;
};
KeyRange keys_beneath(ByteView path);

}  // namespace hailstone::cell
