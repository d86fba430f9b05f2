// Requests and responses between nodes as bytes (docs/formats/rpc.md); pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "net/transport.h"

namespace hailstone::net {

enum class RpcKind : uint8_t {
  Request = 0,
  Response = 1,
  Refusal = 2,  // instead of a response: the body is an error
  Cancel = 3,   // nobody waits for that request any more
};

inline constexpr size_t kRpcTrailerBytes = 16;
inline constexpr size_t kRpcBodyBytesMax = kPayloadBytesMax - kRpcTrailerBytes;
inline constexpr size_t kRpcMessageBytesMax = 1024;

/// What says whose a body is. It follows the body, so that a long one is neither moved nor copied for it.
struct RpcTrailer {
  uint64_t id = 0;           // chosen by the caller, never twice
  uint32_t patience_ms = 0;  // of a request: how long its caller waits; else 0
  uint16_t method = 0;
  RpcKind kind = RpcKind::Request;
  bool operator==(const RpcTrailer&) const = default;
};

struct RpcFrame {
  RpcTrailer trailer;
  ByteView body;  // of the input
};

void append_trailer(Bytes& body, const RpcTrailer& trailer);
/// Corrupt: too short, or no kind that is known; Unsupported: made by a later program.
Result<RpcFrame> read_rpc(ByteView payload);

/// The number of a code in what travels: it stays for ever.
uint8_t wire_number(Code code);
/// Unavailable where a later program knows more codes.
Code code_of_wire(uint8_t number);

/// The body of a refusal; a long message is cut.
Bytes encode_refusal(const Error& error);
/// Any bytes are some refusal.
Error read_refusal(ByteView body);

}  // namespace hailstone::net
