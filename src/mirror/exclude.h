// Exclude patterns of an import: shell globs on relative paths.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::mirror {

/// `*` and `?` stop at '/', `**` does not, `[a-z]` and `[!a]` are sets, `\` quotes. A pattern with a '/' inside or in
/// front is matched against the whole relative path, any other against the last component. A '/' at the end:
/// directories only.
class Excludes {
 public:
  Excludes() = default;
  /// Invalid on an empty pattern or an open '['.
  static Result<Excludes> parse(const std::vector<std::string>& patterns);

  enum class Is : uint8_t { Directory, Other };
  /// A matching directory is left out with all that is in it.
  bool match(ByteView path, Is is) const;
  /// As match(), for the path or any directory above it.
  bool match_any_level(ByteView path, Is is) const;
  bool empty() const { return patterns_.empty(); }

 private:
  struct Pattern {
    std::string glob;
    bool whole_path = false;
    bool directories_only = false;
  };
  std::vector<Pattern> patterns_;
};

/// The matcher itself: linear for a pattern with one `*`, bounded by pattern × text otherwise.
bool glob_match(std::string_view glob, ByteView text);

}  // namespace hailstone::mirror
