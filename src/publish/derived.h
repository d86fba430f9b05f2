// Derived data of a release: a tree of its own, made at publish, so never out of step with what it describes.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "chunk/store.h"
#include "publish/changes.h"
#include "volume/entry.h"
#include "volume/state.h"

namespace hailstone::publish {

// Keys of the derived tree; values are volume::Entry encodings.
inline constexpr std::string_view kFeedKey = "feed.atom";   // Atom feed of the newest releases, this one first
inline constexpr std::string_view kChangesKey = "changes";  // JSON lines: what changed against the base
inline constexpr std::string_view kSearchKey = "search";    // content: the 32-byte root of the search index (search.h)

struct DeriveInput {
  const volume::Volume& volume;
  tree::Root base_root;                        // content of the release it is based on, and
  tree::Root base_derived;                     // that release's derived data; both empty for the first
  const volume::ReleaseRecord& record;         // complete but for `derived` and the signature
  std::vector<volume::ReleaseRecord> earlier;  // for the feed, newest first
  size_t changes_listed_max = 10'000;
};

/// O(changes). Chunks are put, not synced.
Result<tree::Root> derive(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const DeriveInput& input);

/// One derived file's entry, or nothing.
Result<std::optional<volume::Entry>> derived_entry(tree::NodeStore& nodes, const tree::Root& derived,
                                                   std::string_view key);
/// Root of the release's search index; empty when it has none.
Result<tree::Root> search_root(tree::NodeStore& nodes, const tree::Root& derived);

/// Differing keys of two roots, by kind.
Result<ChangeTotals> count_changes(tree::NodeStore& nodes, const tree::Root& from, const tree::Root& to);

}  // namespace hailstone::publish
