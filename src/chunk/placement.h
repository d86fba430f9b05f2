// Which stores keep a chunk: weighted rendezvous hashing over the cell's list of stores, spread over places; pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "net/transport.h"

namespace hailstone::chunk {

enum class StoreState : uint8_t {
  In,        // gets copies and is read from
  Draining,  // gets no new copies and is still read from
  Out,       // neither
};

/// A store as the cell's lasting list has it, whether it is up or not.
struct StoreInfo {
  net::NodeId id;
  double weight = 1;  // its share of the copies, against the others'; 0: as Draining
  std::string place;  // "site/rack/host", from the left; what is missing is one of its own: the node's
  StoreState state = StoreState::In;
  bool operator==(const StoreInfo&) const = default;
};

/// How far two places are apart: less is closer.
enum class Distance : uint8_t { SameHost, SameRack, SameSite, Elsewhere };

/// Every node computes the same from the same list, whatever its order, version and processor
/// (docs/formats/chunk-remote.md).
///
/// Invariants: no two copies on one host while there is a host without one; likewise racks and sites. A chunk's targets
/// change by a store that comes only if that is one of them then, and by one that goes only if it was.
class Placement {
 public:
  Placement() = default;
  /// `copies`: as many as there are stores In, at most. Invalid: no or two stores of one id, a weight that is negative
  /// or no number, copies 0.
  static Result<Placement> make(std::vector<StoreInfo> stores, size_t copies);

  /// min(copies, stores In).
  size_t copies() const { return copies_; }
  /// A majority of the copies: that many must have a chunk durably before it counts as written.
  size_t quorum() const { return copies_ / 2 + 1; }

  /// Every store In, the copies() targets of the chunk first; then those that stand in when a target is down, and that
  /// had the chunk most likely when the list was another.
  std::vector<net::NodeId> order(const ChunkId& id) const;
  std::vector<net::NodeId> targets(const ChunkId& id) const;

  /// Ascending by id.
  std::span<const StoreInfo> stores() const { return stores_; }
  const StoreInfo* find(net::NodeId id) const;
  /// In or Draining.
  bool readable(net::NodeId id) const;

 private:
  struct Place {
    uint32_t site = 0, rack = 0, host = 0;  // numbered: equal means the same
  };
  size_t copies_ = 0;
  std::vector<StoreInfo> stores_;
  std::vector<Place> places_;  // of stores_
};

Distance distance(const StoreInfo& a, const StoreInfo& b);

}  // namespace hailstone::chunk
