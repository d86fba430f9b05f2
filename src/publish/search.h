// Full-text search over a release's keys and packages; the index is part of the release (docs/formats/search.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "chunk/store.h"
#include "publish/package_name.h"
#include "publish/page_file.h"
#include "tree/tree.h"

namespace hailstone::publish {

/// Changes with the schema, SQLite settings, or what terms_of_key() or package_name() say of a key.
inline constexpr int64_t kSearchFormat = 1;

/// A key that came into, or left, the release. A key whose bytes changed needs no edit: only names are indexed.
struct SearchEdit {
  enum class Kind : uint8_t { Added, Removed };
  Bytes key;
  Kind kind = Kind::Added;
};
/// The next edit, in strictly ascending key order; nothing at the end.
using SearchEdits = std::function<Result<std::optional<SearchEdit>>()>;

struct SearchUpdateStats {
  uint64_t added = 0,
           removed = 0;        // that changed the index: adding what is there and removing what is not change nothing
  uint64_t pages_written = 0;  // put into the chunk store, repeats included
  uint64_t pages_read = 0;
};

/// Applies edits to the index `base` (zero root: a new one) and returns the new one; unchanged pages are shared with
/// it. The same edits on the same base give the same root, with the same SQLite version. Saved, not synced. Memory:
/// about 150 MiB at most, whatever the size. Invalid: edits out of order. Unsupported: `base` has another
/// kSearchFormat; the caller builds a new index from the zero root and all keys. Corrupt: `base` is no index. Errors of
/// the stores.
Result<tree::Root> update_search(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const tree::Root& base,
                                 const SearchEdits& pull, SearchUpdateStats* stats = nullptr);

/// The edits that lead from the keys of one release to those of another. `cursor` outlives the result.
SearchEdits search_edits(tree::DiffCursor& cursor);

struct SearchHit {
  enum class Rank : uint8_t {
    ExactName,   // a package of just this name
    NamePrefix,  // a package whose name begins so
    FileName,    // all words in the last component
    Path,        // all words somewhere
  };
  Bytes key;
  Rank rank = Rank::Path;
  std::optional<PackageName> package;
  bool operator==(const SearchHit&) const = default;
};

struct SearchAnswer {
  std::vector<SearchHit> hits;  // by rank, then by key
  bool more = false;            // hits follow these
  bool complete = true;         // false: so many keys match that only some were ranked; ask with more words
};

inline constexpr size_t kSearchCandidatesMax = 1000;  // ranked per query and kind of match: bounds its time

/// Read-only view of one index. Thread-safe: queries on one object take turns (SQLite connections are not shared
/// between threads); open several for parallel ones. Holds up to 4 MiB of pages. The stores outlive it.
class SearchIndex {
 public:
  /// Reads a handful of pages. Unsupported, Corrupt: as update_search. The zero root is an empty index.
  static Result<std::unique_ptr<SearchIndex>> open(tree::NodeStore& nodes, chunk::ChunkStore& chunks,
                                                   const tree::Root& root);
  ~SearchIndex();
  SearchIndex(const SearchIndex&) = delete;
  SearchIndex& operator=(const SearchIndex&) = delete;

  /// Keys that have all words of `text`, the last one as a prefix. Invalid: no word, too long. Errors of the stores.
  Result<SearchAnswer> query(ByteView text, size_t limit, size_t offset) const;

 private:
  struct State;
  class Search;
  explicit SearchIndex(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hailstone::publish
