// Where a path leads within one release: a file, a directory, or nowhere; symbolic links followed inside the volume.
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "chunk/store.h"
#include "tree/tree.h"
#include "volume/entry.h"

namespace hailstone::depot {

inline constexpr int kLinksMax = 8;  // symbolic links followed for one path

/// What lookups read from. Both outlive every use.
struct Store {
  tree::NodeStore& nodes;
  chunk::ChunkStore& chunks;
};

struct Found {
  enum class Kind : uint8_t {
    Nothing,     // nor a dangling link, a link out of the volume, a loop, or a device
    File,        // also a directory's index.html
    Directory,   // a path that ends with '/' (or is empty) and has no index.html: `key` is its prefix
    NeedsSlash,  // a directory, but the path has no '/' at its end
  };
  Kind kind = Kind::Nothing;
  Bytes key;            // of what was found, links followed
  volume::Entry entry;  // File
};

/// Links are taken apart as text: relative to their directory, absolute ones from the volume's root, ".." above the
/// root leads nowhere. Errors are those of reading; Nothing is certain.
Result<Found> find(const Store& store, const tree::Root& root, ByteView key);

/// The same file content, or the same kind of thing that is not a file.
bool same_content(const Found& a, const Found& b);

/// An error of a store while something is read that a release names. There NotFound means damage, not absence.
Error damaged(Error error);

}  // namespace hailstone::depot
