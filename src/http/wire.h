// A blocking client connection, TCP or TLS, whose every wait has a deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "http/url.h"

namespace hailstone::http {

struct WireOptions {
  uint32_t connect_timeout_ms = 10'000;
  uint32_t stall_timeout_ms = 60'000;
  std::string ca_file;
  bool verify_peer = true;
};

class Wire {
 public:
  virtual ~Wire() = default;
  /// Tries each address of the host in turn.
  static Result<std::unique_ptr<Wire>> connect(const BaseUrl& to, const WireOptions& options);

  /// Sends all: true. With Stop it ends early, false, as soon as the peer says something.
  enum class OnInput : uint8_t { KeepSending, Stop };
  virtual Result<bool> send(ByteView bytes, OnInput on_input) = 0;
  /// At least one byte, or 0 where the peer closed.
  virtual Result<size_t> receive(char* out, size_t size) = 0;
  /// Bytes or a close are waiting: an idle connection is then of no use.
  virtual bool readable() = 0;
};

}  // namespace hailstone::http
