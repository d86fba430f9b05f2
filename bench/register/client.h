// One connection of a load generator: what it says to a service, whichever protocol that speaks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace hailstone::bench {

enum class Call : uint8_t {
  Put,
  Get,
  LockPair,  // lock and unlock, each durable; the path or prefix is this client's alone
};

/// Without sockets: bytes in, bytes out. One call at a time.
class Client {
 public:
  enum class Event : uint8_t { None, Ready, Done, Failed, Elsewhere };
  virtual ~Client() = default;
  /// What to send first; Ready comes when calls may be made.
  virtual Bytes hello() = 0;
  virtual Bytes call(Call call, ByteView key, ByteView value) = 0;
  /// What came: call again with nothing while it is not None. `out` may get bytes that must be sent at once.
  virtual Event take(ByteView bytes, Bytes& out) = 0;
  std::string why;         // of Failed
  uint64_t elsewhere = 0;  // the member to ask instead, 0 if unknown
};

std::unique_ptr<Client> make_register_client();
std::unique_ptr<Client> make_zookeeper_client();
std::unique_ptr<Client> make_etcd_client();
std::unique_ptr<Client> make_cell_client();
/// Speaks to floor.cc: length-prefixed values, echoed.
std::unique_ptr<Client> make_floor_client();

}  // namespace hailstone::bench
