// What a node tells others of itself when an operator asks, and how that becomes the cell's status: values and a pure
// function.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "server/registry.h"

namespace hailstone::server {

/// JSON between nodes (NodeMethod::Report). Fields that are missing are 0 or absent; unknown ones are passed over.
struct NodeReport {
  struct Group {
    uint64_t id = 0;
    uint64_t leader = 0;  // as known there; 0: nobody
    uint64_t epoch = 0;   // of the members
    std::vector<uint64_t> voters, learners;
    uint64_t chosen = 0, applied = 0;  // slots
    bool operator==(const Group&) const = default;
  };
  struct Store {
    uint64_t chunks = 0, stored_bytes = 0, disk_bytes = 0, quarantined = 0;
    uint64_t free_bytes = 0, total_bytes = 0;  // of its file system
    /// Chunks that this store should hold and lacks, as its last look found; none: it has not looked yet.
    std::optional<uint64_t> missing_copies;
    bool operator==(const Store&) const = default;
  };
  bool healthy = true;
  uint64_t uptime_seconds = 0;
  std::vector<Group> groups;
  std::optional<Store> store;
  bool operator==(const NodeReport&) const = default;

  Bytes to_json() const;
  /// Corrupt when it is no such object.
  static Result<NodeReport> from_json(ByteView json);
};

/// A channel whose decided flip is not the one that is shown, or that some nodes do not show yet.
struct ChannelView {
  Bytes volume, channel;
  uint64_t decided = 0, decided_release = 0;  // sequence and release, in the volume's group
  std::optional<uint64_t> shown;              // sequence by the cell's file; none: it has not said
  uint64_t shown_release = 0;
  std::vector<uint64_t> excluded;  // nodes that answer 503 on it until they have caught up
  bool settled() const { return shown == decided && excluded.empty(); }
};

struct ClusterView {
  uint64_t self = 0;  // the node that was asked
  size_t copies = 1;  // wanted of each chunk
  std::shared_ptr<const Roster> roster;
  std::map<uint64_t, NodeReport> reports;  // of the nodes that answered
  uint64_t channels = 0;                   // how many there are
  std::vector<ChannelView> unsettled;      // of these
};

/// docs/reference/http-api.md, GET cluster.
nlohmann::json describe_cluster(const ClusterView& view);

}  // namespace hailstone::server
