// Makes a cell's certificate authority and the certificates of its nodes and clients.
#pragma once

#include <string>

#include "base/error.h"
#include "net/transport.h"

namespace hailstone::net {

/// PEM texts. The key is secret: whoever writes it to a file sees to that.
struct Certified {
  std::string certificate;
  std::string key;
};

/// A self-signed authority (ECDSA P-256), valid from an hour ago. `name` is for people: "hailstone cell east".
Result<Certified> make_authority(const std::string& name, int days = 3650);
/// A node's certificate, good for both ends of a connection; its name is node_name(id). Invalid when the authority's
/// texts won't do.
Result<Certified> make_node_certificate(const Certified& authority, NodeId id, int days = 825);
/// A client's certificate, good for dialling only. Invalid, too, when `principal` is none (problem_of_principal), or a
/// node's name.
Result<Certified> make_client_certificate(const Certified& authority, const std::string& principal, int days = 825);

}  // namespace hailstone::net
