// A node's settings as a member of its cell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/tcp_transport.h"

namespace hailstone::server {

struct CellConfig {
  uint64_t id = 1;                    // of the node; never given twice in a cell
  std::string name = "hailstone";     // cells of other names are refused
  std::string address = "127.0.0.1";  // clients and members connect here
  uint16_t port = 8082;               // for clients; 0: any free one
  uint16_t member_port = 8083;        // for other nodes; 0: any free one
  uint16_t data_port = 8084;          // for other nodes' chunks and questions; 0: any free one
  std::string at;  // where the cell's members serve clients, for a node that is none: HOST:PORT,... or srv:DOMAIN
  std::string advertise;                                // host that others reach this node by; empty: address
  std::vector<std::string> members;                     // ID=HOST:MEMBERPORT; see docs/cell.md
  bool join = false;                                    // into a running cell, rather than founding one with `members`
  std::string tls_authority, tls_certificate, tls_key;  // PEM files; all or none
  bool plain_anywhere = false;  // without TLS beyond loopback: anybody who reaches the ports is anybody
  uint64_t flush_bytes = 32u << 20;
  uint64_t segment_bytes = 16u << 20;
  uint64_t memtable_bytes = 8u << 20;  // a larger one costs more in cache misses than it saves in merging

  /// Invalid, naming the key.
  Result<void> validate() const;
  /// `members` with this node among them: alone when it is empty.
  Result<std::vector<net::PeerAddress>> founders() const;
  std::optional<net::TlsFiles> tls() const;
  net::TcpOptions::Plain plain() const {
    return plain_anywhere ? net::TcpOptions::Plain::Anywhere : net::TcpOptions::Plain::LoopbackOnly;
  }
  const std::string& host() const { return advertise.empty() ? address : advertise; }
  bool supervised() const { return join || members.size() > 1; }
};

/// As net::parse_host_port() and net::to_string(); of no id.
Result<net::PeerAddress> parse_address(ByteView text);
std::string format_address(const net::PeerAddress& address);

}  // namespace hailstone::server
