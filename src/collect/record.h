// What the collector's database holds: counts, trash, roots counted, work under way (docs/formats/collect.md).
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/ids.h"
#include "chunk/store.h"
#include "volume/roots.h"

namespace hailstone::collect {

/// As what a chunk is referred to. The same bytes may be a node of one tree and data of another file: each is counted
/// apart, for what a chunk refers to depends on how it is read.
enum class Kind : uint8_t {
  Data = 0,
  EntryNode = 1,    // node of a tree of entries
  DerivedNode = 2,  // node of a release's derived data, which names the root of the search index
  PageNode = 3,     // node of a tree whose values are names of chunks
  List1 = 4,        // list chunk whose refs are data chunks,
  List2 = 5,        // lists of such lists,
  List3 = 6,        // and so on
};
constexpr bool has_children(Kind kind) { return kind != Kind::Data; }

struct Reference {
  Kind kind = Kind::Data;
  ChunkId id;
  uint64_t bytes = 0;  // of a list: content bytes below it; otherwise 0
  bool operator==(const Reference&) const = default;
};

/// All that is known of one chunk: how often it is referred to, or since when it is not.
struct Record {
  struct Count {
    Kind kind = Kind::Data;
    uint64_t count = 0;  // >= 1
    bool operator==(const Count&) const = default;
  };
  std::vector<Count> counts;  // by kind; empty: in the trash
  UnixMicros since;           // when it came into the trash
  uint64_t run = 0;           // which run put it there
  bool operator==(const Record&) const = default;

  bool trash() const { return counts.empty(); }
  Bytes encode() const;
  static Result<Record> decode(ByteView bytes);
};

/// A chunk whose own references are still to be counted or discounted.
struct Work {
  enum class Sign : uint8_t { Count = 1, Discount = 2 };
  Sign sign = Sign::Count;
  Reference what;
  bool operator==(const Work&) const = default;

  Bytes encode() const;
  static Result<Work> decode(ByteView bytes);
};

struct Meta {
  uint64_t runs = 0;
  UnixMicros time;        // of the last run; runs never see an earlier one
  chunk::Position added;  // chunks before were candidates already
  bool recount = false;   // counts are too high somewhere: begin anew at the next run
  bool operator==(const Meta&) const = default;

  Bytes encode() const;
  static Result<Meta> decode(ByteView bytes);
};

namespace keys {
inline constexpr ByteView kMeta = "M";
Bytes record(const ChunkId& id);
Bytes trash(UnixMicros since, const ChunkId& id);  // empty value: the trash in order of age
Bytes root(const volume::RootRef& ref);            // empty value; in the order of RootRef
Bytes work(uint64_t number);
inline constexpr ByteView kSurvey = "P";
/// Of the tables by id: 'C', 'F' (to be pulled), 'S' (belongs elsewhere).
Bytes of_chunk(char table, const ChunkId& id);
Result<ChunkId> chunk_of(char table, ByteView key);
Result<std::pair<UnixMicros, ChunkId>> decode_trash(ByteView key);
Result<volume::RootRef> decode_root(ByteView key);
Bytes end_of(char table);
}  // namespace keys

}  // namespace hailstone::collect
