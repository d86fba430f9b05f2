// Open directories beneath a root, moved along from path to path: no symlink is followed, no path is walked twice.
#pragma once

#include <string>
#include <vector>

#include "mirror/system.h"

namespace hailstone::mirror {

/// "a/b/c" -> {"a/b", "c"}; "c" -> {"", "c"}.
struct SplitPath {
  ByteView directory;
  ByteView name;
};
SplitPath split_path(ByteView path);

/// Holds one descriptor per level of the directory entered last. Paths that are visited in sorted order cost one openat
/// per directory. Not thread-safe.
class Directories {
 public:
  /// `root` may be reached through symlinks: it is the user's to name. Nothing below it is.
  static Result<Directories> open(const std::string& root);

  enum class Absent : uint8_t { Fail, Create };
  /// The descriptor of directory `path` beneath the root ("" is the root, no trailing '/'), valid until the next call.
  /// Created directories get mode 0700. NotFound; Invalid when a component is not a directory, or a symlink.
  Result<int> enter(ByteView path, Absent absent = Absent::Fail);
  int root() const { return root_.get(); }

 private:
  struct Level {
    size_t path_bytes;  // of path_, including this component
    Fd fd;
  };
  Fd root_;
  Bytes path_;
  std::vector<Level> levels_;
};

}  // namespace hailstone::mirror
