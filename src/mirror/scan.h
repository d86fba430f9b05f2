// Walks a directory tree and lists what is in it, sorted by key: the raw material of an import.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "mirror/exclude.h"
#include "mirror/posix.h"
#include "volume/entry.h"

namespace hailstone::mirror {

/// One name of the tree. posix.xattrs are not read yet: most items turn out unchanged and never need them.
struct Item {
  Bytes key;  // prefix + relative path; directories end with '/', the root is the prefix itself, or "./" without one
  volume::Kind kind = volume::Kind::File;
  volume::Posix posix;
  uint64_t bytes = 0;  // of files
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // ctime
  uint64_t inode = 0;
  Bytes target;  // of symlinks
};

struct ScanOptions {
  Bytes prefix;  // put in front of every key: empty, or ends with '/'
  Excludes excludes;
};

struct Scan {
  std::vector<Item> items;  // sorted by key, no duplicates
  uint64_t bytes = 0;       // of all files
  int64_t started_ns = 0;   // wall clock before the first look; see ImportState on files changed since
  Warnings warnings;        // skipped sockets
  Warnings unreadable;      // directories and links that could not be read: what they hold is unknown, not absent
};

/// Lists everything under `root` (itself included), without following symlinks below it. Keys that a volume can't hold
/// are Invalid, with a list of them; nothing has been touched then.
Result<Scan> scan(const std::string& root, const ScanOptions& options);

/// The item's path beneath the scanned root, without trailing '/'; empty for the root.
ByteView path_of(ByteView key, ByteView prefix);

}  // namespace hailstone::mirror
