// What the API tells of the node it runs on: the one thing here that only `server` knows.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "chunk/local_store.h"
#include "chunk/store.h"

namespace hailstone::api {

struct NodeStatus {
  Bytes node;     // its name
  Bytes version;  // of the program
  uint64_t uptime_seconds = 0;
  bool healthy = true;  // false: it no longer takes writes
  Slot log;             // last slot durable in the log
  Slot applied;         // last slot that readers see
  chunk::ChunkStore::Stats chunks;
  std::vector<chunk::Damage> quarantine;
  uint64_t free_bytes = 0;  // of the file system that holds the data
  uint64_t total_bytes = 0;
};

/// Thread-safe; may block.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  virtual NodeStatus status() const = 0;
  /// The configuration in force as one JSON object, secrets left out.
  virtual Bytes config_json() const = 0;
};

}  // namespace hailstone::api
