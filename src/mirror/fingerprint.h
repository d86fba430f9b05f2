// A 64-bit fingerprint of everything a reader can see of an entry: finds changes, never replaces a SHA-256.
#pragma once

#include <cstdint>

#include "volume/entry.h"

namespace hailstone::mirror {

/// Equal for entries of equal kind, size, content SHA-256, mtime, POSIX and user metadata, however their content is cut
/// into chunks. Stable for ever: it is kept in files.
uint64_t fingerprint(const volume::Entry& entry);

}  // namespace hailstone::mirror
