// What differs between two releases, as JSON lines: the body of `/-/changes`.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "tree/tree.h"

namespace hailstone::publish {

struct ChangeTotals {
  uint64_t added = 0, changed = 0, removed = 0;  // keys
  uint64_t bytes_added = 0;                      // weights of added and of changed keys as they are now
  uint64_t bytes_removed = 0;                    // weights of removed and of changed keys as they were
  bool operator==(const ChangeTotals&) const = default;
  uint64_t keys() const { return added + changed + removed; }
};

struct ChangeOptions {
  Bytes after;                     // list only keys greater than this; empty: from the start
  size_t lines_max = 10'000;       // listed; the rest is still counted
  uint64_t count_max = 5'000'000;  // differences looked at, listed or not: bounds the work of one call
};

struct Changes {
  /// One object a line, in key order: {"op":"added"|"changed"|"removed","key":"...","size":N[,"was":N]}. `size` is the
  /// new size, or that of the removed one; `was` stands on changed keys. A key that is not UTF-8 stands as
  /// "key_base64".
  Bytes json_lines;
  size_t lines = 0;
  Bytes last_key;       // of the lines; continue with after = last_key when `more`
  bool more = false;    // keys after last_key differ too
  ChangeTotals totals;  // of the whole difference, wherever `after` is
  bool counted = true;  // false: the difference passed count_max, totals are a lower bound
};

/// O(difference). Errors of the store.
Result<Changes> list_changes(tree::NodeStore& nodes, const tree::Root& from, const tree::Root& to,
                             const ChangeOptions& options);

}  // namespace hailstone::publish
