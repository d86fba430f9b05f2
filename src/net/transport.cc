#include "net/transport.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

namespace hailstone::net {

std::string node_name(NodeId id) { return fmt::format("node-{}", id.value); }

bool is_node_name(ByteView name) {
  constexpr ByteView kPrefix = "node-";
  uint64_t id = 0;
  if (!name.starts_with(kPrefix)) return false;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), id);
  return error == std::errc() && id != 0 && node_name(NodeId(id)) == name;
}

std::string problem_of(const std::vector<PeerAddress>& peers) {
  std::set<NodeId> seen;
  for (const PeerAddress& peer : peers)
    if (!peer.id || !seen.insert(peer.id).second)
      return fmt::format("peer {} at {}:{}: id is 0 or named twice", peer.id.value, peer.host, peer.port);
  return "";
}

}  // namespace hailstone::net
