#include "server/cell_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "net/discover.h"

namespace hailstone::server {
namespace {

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<net::PeerAddress> parse_address(ByteView text) {
  TRY(net::HostPort at, net::parse_host_port(text));
  return net::PeerAddress{.id = {}, .host = std::move(at.host), .port = at.port};
}

std::string format_address(const net::PeerAddress& address) {
  return to_string(net::HostPort{address.host, address.port});
}

Result<std::vector<net::PeerAddress>> CellConfig::founders() const {
  std::vector<net::PeerAddress> out;
  for (const std::string& member : members) {
    const size_t equals = member.find('=');
    uint64_t number = 0;
    if (equals == member.npos || !parse_number(std::string_view(member).substr(0, equals), number) || number == 0)
      return fail(Code::Invalid, fmt::format("cell.members: '{}': write ID=HOST:PORT", member));
    TRY(net::PeerAddress peer, parse_address(ByteView(member).substr(equals + 1)));
    peer.id = net::NodeId(number);
    out.push_back(std::move(peer));
  }
  const net::NodeId self(id);
  if (std::ranges::find(out, self, &net::PeerAddress::id) == out.end()) {
    if (!out.empty() && !join)
      return fail(Code::Invalid, fmt::format("cell.members: this node's id, {}, is not among them", id));
    if (!join) out.push_back({self, host(), member_port});
  }
  if (const std::string problem = net::problem_of(out); !problem.empty())
    return fail(Code::Invalid, "cell.members: " + problem);
  return out;
}

std::optional<net::TlsFiles> CellConfig::tls() const {
  if (tls_authority.empty()) return std::nullopt;
  return net::TlsFiles{tls_authority, tls_certificate, tls_key};
}

Result<void> CellConfig::validate() const {
  if (id == 0) return fail(Code::Invalid, "cell.id: 0 is nobody; take 1 or more");
  if (name.empty() || name.size() > 64) return fail(Code::Invalid, "cell.name: must have 1 to 64 bytes");
  if (tls_authority.empty() != tls_certificate.empty() || tls_authority.empty() != tls_key.empty())
    return fail(Code::Invalid, "cell.tls_authority, cell.tls_certificate and cell.tls_key go together");
  if (join && members.empty()) return fail(Code::Invalid, "cell.join: name some of the cell's members in cell.members");
  TRY_DO(founders());
  return {};
}

}  // namespace hailstone::server
