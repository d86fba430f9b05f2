// The transport within one process: nodes on a switchboard, for tests of what sits above. Delivers on a thread of its
// own.
#pragma once

#include <memory>
#include <string>

#include "net/transport.h"

namespace hailstone::net {

/// What joins the transports; they keep it. A pair is connected when both have joined, each names the other among its
/// peers, and it is not cut.
class MemoryNetwork {
 public:
  static std::shared_ptr<MemoryNetwork> make();
  virtual ~MemoryNetwork() = default;
  /// The id must not be in use. Addresses of peers are not looked at.
  virtual std::unique_ptr<Transport> join(NodeId id, Receiver& receiver, size_t queue_bytes_max = 32u << 20) = 0;
  /// Disconnects a pair, and what is under way is lost; join() again by mend().
  virtual void cut(NodeId a, NodeId b) = 0;
  virtual void mend(NodeId a, NodeId b) = 0;
};

}  // namespace hailstone::net
