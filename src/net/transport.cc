#include "net/transport.h"

#include <fmt/format.h>

#include <set>

namespace hailstone::net {

std::string node_name(NodeId id) { return fmt::format("node-{}", id.value); }

std::string problem_of(const std::vector<PeerAddress>& peers) {
  std::set<NodeId> seen;
  for (const PeerAddress& peer : peers)
    if (!peer.id || !seen.insert(peer.id).second)
      return fmt::format("peer {} at {}:{}: id is 0 or named twice", peer.id.value, peer.host, peer.port);
  return "";
}

}  // namespace hailstone::net
