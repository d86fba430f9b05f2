// Where exported trees live: DIR is a symlink to one of the real trees beside it, DIR.hailstone-000042/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mirror/system.h"

namespace hailstone::mirror {

enum class Place : uint8_t {
  NewTree,  // beside the old one, flipped by one rename: readers see the old tree or the new one
  InPlace,  // into a real directory, file by file
};

/// What is on disk for one DIR. Holding it holds the lock against other exports to the same DIR.
struct RestoreLayout {
  std::string directory;            // DIR as given, without trailing '/'
  std::string parent;               // "." or the path before the last '/'
  std::string name;                 // DIR's last component
  std::optional<uint64_t> current;  // number of the tree DIR points to
  std::vector<uint64_t> trees;      // all numbers beside it, ascending, unfinished ones of crashed exports included
  uint64_t next = 1;
  Fd lock;

  std::string tree_path(uint64_t number) const;
  std::string tree_name(uint64_t number) const;
  std::string manifest_path(uint64_t number) const;
  std::string in_place_manifest_path() const;
  std::string flip_path() const;  // the new symlink before it is renamed over DIR
};

/// Takes the lock and looks. NewTree: DIR must be absent or a symlink made by an earlier export; InPlace: absent or a
/// real directory. Invalid otherwise, saying what to do; Unavailable when another export holds the lock.
Result<RestoreLayout> open_layout(const std::string& directory, Place place);

/// Removes a tree and all in it, whatever its directories' modes; symlinks are removed, not followed. Absent is fine.
Result<void> remove_tree(const std::string& path);

}  // namespace hailstone::mirror
