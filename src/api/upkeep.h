// What keeps a node's store in order, as the API sees it: chores that are asked for, and what they found.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/error.h"
#include "base/hash.h"

namespace hailstone::api {

enum class Chore : uint8_t {
  Collect,  // retention, then collection, then compaction
  Verify,   // counts against a recount
  Compact,
  Scrub,  // one pass over all chunks, from the beginning
};
std::string_view chore_name(Chore chore);
std::optional<Chore> parse_chore(std::string_view name);

struct ChoreOptions {
  bool dry_run = false;      // Collect: nothing is let go or erased
  bool skip_window = false;  // Collect: what is in the trash goes now, however young
};

/// Thread-safe.
class Upkeep {
 public:
  virtual ~Upkeep() = default;
  /// Done soon, by one thread in the order asked. The ticket is done when the chore's "finished" is as high.
  virtual uint64_t ask(Chore chore, const ChoreOptions& options) = 0;
  /// {"CHORE":{"running","asked","finished","runs","last","took_ms","error","result":{...}},...} and totals.
  virtual Json status() const = 0;
  /// What refers to a chunk, at most `limit` lines for people. Waits for a collection under way.
  virtual Result<std::vector<std::string>> why(const ChunkId& id, size_t limit) = 0;
};

}  // namespace hailstone::api
