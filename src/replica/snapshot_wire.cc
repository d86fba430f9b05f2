#include "replica/snapshot_wire.h"

#include <fmt/format.h>

#include "base/codec.h"

namespace hailstone::replica {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kGet = 1, kPiece = 2;
constexpr uint8_t kLast = 1, kGone = 2;

}  // namespace

Bytes encode(const SnapshotMessage& message) {
  Bytes out;
  Encoder to(out);
  to.u8(kVersion);
  if (const auto* get = std::get_if<SnapshotGet>(&message)) {
    to.u8(kGet);
    to.varint(get->group.value);
    to.u64(get->from.value);
    to.varint(get->upto.value);
    to.bytes(get->after);
    return out;
  }
  const auto& piece = std::get<SnapshotPiece>(message);
  size_t bytes = piece.after.size() + 64;
  for (const auto& [key, value] : piece.entries) bytes += key.size() + value.size() + 10;
  out.reserve(bytes);
  to.u8(kPiece);
  to.varint(piece.group.value);
  to.varint(piece.upto.value);
  to.bytes(piece.after);
  to.u8(static_cast<uint8_t>((piece.last ? kLast : 0) | (piece.gone ? kGone : 0)));
  to.varint(piece.entries.size());
  for (const auto& [key, value] : piece.entries) {
    to.bytes(key);
    to.bytes(value);
  }
  return out;
}

Result<SnapshotMessage> decode_snapshot_message(ByteView bytes) {
  Decoder in(bytes);
  const uint8_t version = in.u8(), kind = in.u8();
  if (!in.ok()) return fail(Code::Corrupt, "a snapshot message of less than two bytes");
  if (version != kVersion) return fail(Code::Unsupported, fmt::format("snapshot message of version {}", version));
  if (kind == kGet) {
    SnapshotGet get;
    get.group = paxos::GroupId(in.varint());
    get.from = paxos::ReplicaId(in.u64());
    get.upto = Slot(in.varint());
    get.after = Bytes(in.bytes());
    if (!in.done())
      return fail(Code::Corrupt, fmt::format("a request for a snapshot, malformed, {} bytes", bytes.size()));
    return get;
  }
  if (kind != kPiece) return fail(Code::Unsupported, fmt::format("snapshot message of kind {}", kind));
  SnapshotPiece piece;
  piece.group = paxos::GroupId(in.varint());
  piece.upto = Slot(in.varint());
  piece.after = Bytes(in.bytes());
  const uint8_t flags = in.u8();
  const uint64_t count = in.varint();
  piece.last = flags & kLast;
  piece.gone = flags & kGone;
  // An entry has two bytes at least.
  bool whole = in.ok() && flags <= (kLast | kGone) && count <= bytes.size() / 2;
  if (whole) piece.entries.reserve(count);
  for (uint64_t i = 0; whole && i < count; ++i) {
    const ByteView key = in.bytes();
    const ByteView value = in.bytes();
    whole = in.ok() && key > (i ? ByteView(piece.entries.back().first) : ByteView(piece.after));
    if (whole) piece.entries.emplace_back(key, value);
  }
  if (!whole || !in.done())
    return fail(Code::Corrupt, fmt::format("a piece of a snapshot, malformed, {} bytes", bytes.size()));
  return piece;
}

}  // namespace hailstone::replica
