// Decides what an import must do: a pure merge of what is on disk, what we remember, and what the server says it has.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mirror/import_state.h"
#include "mirror/scan.h"

namespace hailstone::mirror {

struct KeyEntry {
  Bytes key;
  volume::Entry entry;
  bool operator==(const KeyEntry&) const = default;
};

enum class Action : uint8_t {
  Put,   // read and send
  Meta,  // the server has the content: send the entry with new metadata
  Delete,
};

struct Step {
  Action action = Action::Put;
  Bytes key;
  size_t item = SIZE_MAX;  // of Scan::items; none for Delete
  const volume::Entry* server =
      nullptr;                    // Meta: what the server has, in PlanInput::server; null when only the state knows
  std::optional<uint64_t> known;  // fingerprint of what the server has: a Put that comes out equal is not sent
  bool hash_first = false;        // Put: may well be equal to `known`, so a big file is hashed before it is sent
  std::string_view reason;        // "new", "changed", "mode or owner", "content", "gone", "replaced"
};

struct Plan {
  std::vector<Step>
      steps;  // deletes first, then by key: a file that became a directory is gone before its children come
  std::vector<StateRecord> unchanged;  // sorted by key: what a new state takes over, keys only the server has included
  uint64_t unchanged_items = 0;
  uint64_t puts = 0, put_bytes = 0, metas = 0, deletes = 0;
  std::vector<std::string> warnings;

  bool empty() const { return steps.empty(); }
};

/// What planning may have to look up in the local tree.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual Result<Xattrs> xattrs(const Item& item) = 0;
  virtual Result<Hash256> content_sha256(const Item& item) = 0;
};

enum class Extraneous : uint8_t { Keep, Delete };
enum class Compare : uint8_t {
  Times,     // equal size and mtime mean equal content
  Checksum,  // contents are read and compared
};

struct PlanInput {
  const Scan& scan;
  Bytes prefix;
  const Excludes& excludes;  // excluded keys of the server are not extraneous
  Extraneous extraneous = Extraneous::Keep;
  Compare compare = Compare::Times;
  /// Set when the server's token is still the state's: then `server` is not looked at.
  const ImportState* state = nullptr;
  /// Everything the target has under the prefix, sorted by key.
  const std::vector<KeyEntry>* server = nullptr;
};

/// Exactly one of input.state and input.server must be set. Probe failures make a Put, which will report them.
Plan make_plan(const PlanInput& input, Probe& probe);

/// One line a step ("put    docs/a.txt  12 bytes  changed") and a summary; `lines_max` steps at most.
std::string to_text(const Plan& plan, const Scan& scan, size_t lines_max = SIZE_MAX);

/// The entry an item would have with this content; xattrs are to be in item.posix already.
volume::Entry entry_of(const Item& item);

}  // namespace hailstone::mirror
