// Frames and hellos as bytes, without sockets (docs/formats/net.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "net/transport.h"

namespace hailstone::net {

// ---- frames ----

enum class FrameType : uint8_t {
  Data = 1,
  Ping = 2,  // payload is the sender's, at most kPingBytesMax
  Pong = 3,  // the ping's payload
};
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kPingBytesMax = 64;

/// What goes before `payload`, which is at most kPayloadBytesMax.
void write_frame_header(char (&out)[kFrameHeaderBytes], FrameType type, uint8_t channel, ByteView payload);
/// Header and payload.
Bytes encode_frame(FrameType type, uint8_t channel, ByteView payload);

struct FrameView {
  FrameType type = FrameType::Data;
  uint8_t channel = 0;
  ByteView payload;  // of the input
};
/// Reads the frame that `input` begins with. Its length, or 0: not all of it is there yet. Corrupt: what follows can't
/// be made sense of; Unsupported: made by a later program, or with a longer payload than is taken here.
Result<size_t> read_frame(ByteView input, FrameView& frame, size_t payload_bytes_max = kPayloadBytesMax);

// ---- hellos: the first thing either side says ----

inline constexpr uint16_t kVersionMin = 1, kVersionMax = 1;
inline constexpr size_t kHelloBytesMax = 1024;
inline constexpr size_t kCellBytesMax = 64, kRefusalBytesMax = 512;

enum class HelloKind : uint8_t { Hello = 1, Welcome = 2, Refusal = 3 };
enum class Refusal : uint8_t {
  None = 0,
  Version = 1,   // no version is known to both
  Cell = 2,      // another cell
  NotMe = 3,     // meant for another node
  SameId = 4,    // both have the same id
  Stranger = 5,  // not among the peers
  Name = 6,      // the certificate is another node's
};

struct Hello {
  HelloKind kind = HelloKind::Hello;
  uint16_t version_min = kVersionMin, version_max = kVersionMax;
  NodeId from, to;
  uint64_t incarnation = 0;
  std::string cell;  // 1 to kCellBytesMax bytes
  Refusal refusal = Refusal::None;
  std::string text;  // of a refusal, for people; at most kRefusalBytesMax
  bool operator==(const Hello&) const = default;
};

/// Cuts `text` where it is too long.
Bytes encode_hello(const Hello& hello);
/// Like read_frame. Bytes of the body that a later program adds are skipped.
Result<size_t> read_hello(ByteView input, Hello& hello);

struct Refused {
  Refusal refusal = Refusal::None;
  std::string text;
};
/// What `self` holds against that hello or welcome, if anything. `dialled`: whom it was sent to, 0 for one that comes
/// in.
std::optional<Refused> judge(const Hello& theirs, const Hello& self, NodeId dialled);
/// What a refusal means to the one refused.
Error error_of(const Refused& refused);

}  // namespace hailstone::net
