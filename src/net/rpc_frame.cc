#include "net/rpc_frame.h"

#include <fmt/format.h>

#include <array>

#include "base/codec.h"

namespace hailstone::net {
namespace {

constexpr uint8_t kVersion = 1;

// The position is the number; 0 is none.
constexpr std::array kCodes{Code::Invalid,     Code::NotFound,    Code::Exists,    Code::Conflict,
                            Code::Unavailable, Code::Timeout,     Code::Corrupt,   Code::Exhausted,
                            Code::Denied,      Code::Unsupported, Code::Cancelled, Code::Io};

}  // namespace

void append_trailer(Bytes& body, const RpcTrailer& trailer) {
  Encoder out(body);
  out.u64(trailer.id);
  out.u32(trailer.patience_ms);
  out.u16(trailer.method);
  out.u8(static_cast<uint8_t>(trailer.kind));
  out.u8(kVersion);
}

Result<RpcFrame> read_rpc(ByteView payload) {
  if (payload.size() < kRpcTrailerBytes)
    return fail(Code::Corrupt, fmt::format("rpc: {} bytes, a trailer has {}", payload.size(), kRpcTrailerBytes));
  const size_t body_bytes = payload.size() - kRpcTrailerBytes;
  Decoder in(payload.substr(body_bytes));
  RpcFrame frame;
  frame.body = payload.substr(0, body_bytes);
  frame.trailer.id = in.u64();
  frame.trailer.patience_ms = in.u32();
  frame.trailer.method = in.u16();
  const uint8_t kind = in.u8();
  const uint8_t version = in.u8();
  if (version != kVersion)
    return fail(Code::Unsupported, fmt::format("rpc: version {}, {} is known", version, kVersion));
  if (kind > static_cast<uint8_t>(RpcKind::Cancel)) return fail(Code::Corrupt, fmt::format("rpc: kind {}", kind));
  frame.trailer.kind = static_cast<RpcKind>(kind);
  return frame;
}

uint8_t wire_number(Code code) {
  for (size_t i = 0; i < kCodes.size(); ++i)
    if (kCodes[i] == code) return static_cast<uint8_t>(i + 1);
  return wire_number(Code::Unavailable);
}

Code code_of_wire(uint8_t number) {
  return number == 0 || number > kCodes.size() ? Code::Unavailable : kCodes[number - 1];
}

Bytes encode_refusal(const Error& error) {
  Bytes out;
  Encoder(out).u8(wire_number(error.code));
  return out += error.message.substr(0, kRpcMessageBytesMax);
}

Error read_refusal(ByteView body) {
  Decoder in(body);
  const Code code = code_of_wire(in.u8());
  return {code, printable(in.rest().substr(0, kRpcMessageBytesMax))};
}

}  // namespace hailstone::net
