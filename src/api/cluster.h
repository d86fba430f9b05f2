// The nodes of a cell, as the API sees them: what they are, what is wrong, and what an operator changes.
#pragma once

#include <string>

#include "api/json.h"
#include "base/error.h"

namespace hailstone::api {

enum class StoreUse : uint8_t {
  In,        // gets copies and is read from
  Draining,  // gets no new ones, and is read from until others have what it has
};

/// Thread-safe; blocks for some seconds at most.
class Cluster {
 public:
  virtual ~Cluster() = default;
  /// {"node","nodes":[..],"stores":[..],"groups":[..],"channels":{..},"pending":[TEXT..],"problems":[TEXT..]}:
  /// docs/reference/http-api.md. Nodes that do not answer are in it without what only they know.
  virtual Result<Json> status() = 0;
  /// NotFound: no such store.
  virtual Result<void> use_store(uint64_t node, StoreUse use) = 0;
  /// Forgets a node that is gone, and its store. Conflict, saying what to do first: it is up, it votes, or its store
  /// was not drained and others may not have its chunks; `lost`: nothing of its store will come back, so forget it.
  enum class Lost : uint8_t { No, Yes };
  virtual Result<void> remove(uint64_t node, Lost lost) = 0;
  struct Step {
    bool done = false;  // else ask again: each request does what can be done now
    std::string what;   // was done, or is waited for
  };
  /// The node `by` votes in place of `old`, whose store is lost. `address`: where other members reach `by`
  /// (HOST:MEMBERPORT); empty: where they reached `old`. May be repeated, by anybody, at any node.
  virtual Result<Step> replace(uint64_t old, uint64_t by, const std::string& address) = 0;
};

}  // namespace hailstone::api
