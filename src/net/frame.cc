#include "net/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"
#include "base/hash.h"

namespace hailstone::net {
namespace {

constexpr ByteView kMagic = "HAILNODE";
constexpr size_t kHelloHeadBytes = 8 + 2;
constexpr size_t kCrcBytes = 4;
constexpr size_t kHelloBodyBytesMin = 1 + 2 + 2 + 8 + 8 + 8 + 2 + 1;

void put32(char* out, uint32_t v) {
  for (size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(v >> (8 * i));
}

}  // namespace

void write_frame_header(char (&out)[kFrameHeaderBytes], FrameType type, uint8_t channel, ByteView payload) {
  put32(out, static_cast<uint32_t>(payload.size()));
  out[4] = static_cast<char>(type);
  out[5] = static_cast<char>(channel);
  out[6] = out[7] = 0;
  const uint32_t head_crc = crc32c({out, 8});
  put32(out + 8, head_crc);
  put32(out + 12, crc32c(payload, head_crc));
}

Bytes encode_frame(FrameType type, uint8_t channel, ByteView payload) {
  char header[kFrameHeaderBytes];
  write_frame_header(header, type, channel, payload);
  Bytes out;
  out.reserve(sizeof header + payload.size());
  return out.append(header, sizeof header).append(payload);
}

Result<size_t> read_frame(ByteView input, FrameView& frame, size_t payload_bytes_max) {
  if (input.size() < kFrameHeaderBytes) return 0;
  Decoder in(input);
  const uint32_t length = in.u32();
  const uint8_t type = in.u8();
  const uint8_t channel = in.u8();
  const uint16_t reserved = in.u16();
  const uint32_t head_crc = in.u32();
  const uint32_t payload_crc = in.u32();
  if (const uint32_t crc = crc32c(input.substr(0, 8)); crc != head_crc)
    return fail(Code::Corrupt, fmt::format("frame header: crc {:x} != {:x}", crc, head_crc));
  if (length > payload_bytes_max)
    return fail(Code::Unsupported, fmt::format("frame of {} bytes, at most {}", length, payload_bytes_max));
  if (type < static_cast<uint8_t>(FrameType::Data) || type > static_cast<uint8_t>(FrameType::Pong) || reserved != 0)
    return fail(Code::Unsupported, fmt::format("frame of type {}, reserved {}", type, reserved));
  if (type != static_cast<uint8_t>(FrameType::Data) && length > kPingBytesMax)
    return fail(Code::Unsupported, fmt::format("ping of {} bytes, at most {}", length, kPingBytesMax));
  if (in.rest().size() < length) return 0;
  frame = {static_cast<FrameType>(type), channel, in.raw(length)};
  if (const uint32_t crc = crc32c(frame.payload, head_crc); crc != payload_crc)
    return fail(Code::Corrupt, fmt::format("frame of {} bytes: crc {:x} != {:x}", length, crc, payload_crc));
  return kFrameHeaderBytes + length;
}

Bytes encode_hello(const Hello& hello) {
  Bytes body;
  Encoder out(body);
  out.u8(static_cast<uint8_t>(hello.kind));
  out.u16(hello.version_min);
  out.u16(hello.version_max);
  out.u64(hello.from.value);
  out.u64(hello.to.value);
  out.u64(hello.incarnation);
  out.bytes(hello.cell);
  out.u8(static_cast<uint8_t>(hello.refusal));
  if (hello.kind == HelloKind::Refusal) out.bytes(ByteView(hello.text).substr(0, kRefusalBytesMax));
  Bytes bytes;
  Encoder whole(bytes);
  whole.raw(kMagic);
  whole.u16(static_cast<uint16_t>(body.size()));
  whole.raw(body);
  whole.u32(crc32c(bytes));
  return bytes;
}

Result<size_t> read_hello(ByteView input, Hello& hello) {
  const size_t compared = std::min(input.size(), kMagic.size());
  if (input.substr(0, compared) != kMagic.substr(0, compared))
    return fail(Code::Corrupt, fmt::format("not a hello: '{}'", printable(input.substr(0, 16))));
  if (input.size() < kHelloHeadBytes) return 0;
  Decoder in(input.substr(kMagic.size()));
  const uint16_t length = in.u16();
  const size_t whole = kHelloHeadBytes + length + kCrcBytes;
  if (length < kHelloBodyBytesMin || whole > kHelloBytesMax)
    return fail(Code::Corrupt, fmt::format("hello of {} bytes, at most {}", whole, kHelloBytesMax));
  if (input.size() < whole) return 0;
  Decoder body(in.raw(length));
  if (const uint32_t crc = crc32c(input.substr(0, whole - kCrcBytes)), kept = in.u32(); crc != kept)
    return fail(Code::Corrupt, fmt::format("hello: crc {:x} != {:x}", crc, kept));

  Hello out;
  const uint8_t kind = body.u8();
  out.version_min = body.u16();
  out.version_max = body.u16();
  out.from = NodeId(body.u64());
  out.to = NodeId(body.u64());
  out.incarnation = body.u64();
  out.cell = body.bytes();
  out.refusal = static_cast<Refusal>(body.u8());
  out.kind = static_cast<HelloKind>(kind);
  if (out.kind == HelloKind::Refusal) out.text = body.bytes();
  if (!body.ok() || out.cell.empty() || out.cell.size() > kCellBytesMax || out.text.size() > kRefusalBytesMax ||
      !out.from || out.version_min > out.version_max)
    return fail(Code::Corrupt, "hello: malformed");
  if (kind < static_cast<uint8_t>(HelloKind::Hello) || kind > static_cast<uint8_t>(HelloKind::Refusal))
    return fail(Code::Unsupported, fmt::format("hello of kind {}", kind));
  hello = std::move(out);
  return whole;
}

std::optional<Refused> judge(const Hello& theirs, const Hello& self, NodeId dialled) {
  if (theirs.version_min > self.version_max || theirs.version_max < self.version_min)
    return Refused{Refusal::Version, fmt::format("{} speaks versions {}..{}, {} speaks {}..{}", node_name(theirs.from),
                                                 theirs.version_min, theirs.version_max, node_name(self.from),
                                                 self.version_min, self.version_max)};
  if (theirs.cell != self.cell)
    return Refused{Refusal::Cell, fmt::format("{} is of cell '{}', {} of cell '{}'", node_name(theirs.from),
                                              printable(theirs.cell), node_name(self.from), printable(self.cell))};
  if (theirs.from == self.from)
    return Refused{Refusal::SameId, fmt::format("two nodes are called {}", node_name(self.from))};
  if (theirs.to != self.from || (dialled && theirs.from != dialled))
    return Refused{Refusal::NotMe, fmt::format("looking for {}, found {}", node_name(dialled ? dialled : theirs.to),
                                               node_name(dialled ? theirs.from : self.from))};
  return std::nullopt;
}

Error error_of(const Refused& refused) {
  return {refused.refusal == Refusal::Version ? Code::Unsupported : Code::Denied, refused.text};
}

}  // namespace hailstone::net
