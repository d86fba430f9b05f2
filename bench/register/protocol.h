// What clients of the register service say: requests and answers on a plain TCP connection, answered in any order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/codec.h"

namespace hailstone::bench {

/// Frame: u32 length of what follows, u64 id, u8 operation or answer, then its fields.
enum class Operation : uint8_t {
  Put = 1,     // bytes key, bytes value
  Cas = 2,     // bytes key, bytes expected, bytes value; an expected value that is empty means absent
  Get = 3,     // bytes key; linearizable
  Resign = 4,  // u64 replica to take over, 0 any
  Status = 5,  // answered by text
};
enum class Answer : uint8_t {
  Ok = 0,         // Get, Status: bytes value
  Mismatch = 1,   // Cas: done nothing; bytes value that was there
  Absent = 2,     // Get
  Refused = 3,    // certainly not done: bytes why, u64 replica that leads or 0
  Uncertain = 4,  // may be done: bytes why
};
inline constexpr size_t kRequestBytesMax = 1u << 20;

struct Request {
  uint64_t id = 0;
  Operation operation = Operation::Get;
  ByteView key, expected, value;
  uint64_t replica = 0;
};

inline Bytes frame(uint64_t id, uint8_t kind, ByteView body) {
  Bytes out;
  out.reserve(13 + body.size());
  Encoder to(out);
  to.u32(static_cast<uint32_t>(9 + body.size()));
  to.u64(id);
  to.u8(kind);
  to.raw(body);
  return out;
}

/// The request in one frame, without its length. Views into `in`.
inline std::optional<Request> decode_request(ByteView in) {
  Decoder from(in);
  Request out{.id = from.u64(), .operation = static_cast<Operation>(from.u8())};
  switch (out.operation) {
    case Operation::Put:
      out.key = from.bytes();
      out.value = from.bytes();
      break;
    case Operation::Cas:
      out.key = from.bytes();
      out.expected = from.bytes();
      out.value = from.bytes();
      break;
    case Operation::Get: out.key = from.bytes(); break;
    case Operation::Resign: out.replica = from.u64(); break;
    case Operation::Status: break;
    default: return std::nullopt;
  }
  if (!from.done()) return std::nullopt;
  return out;
}

}  // namespace hailstone::bench
