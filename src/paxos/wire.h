// Messages, records and hard state as bytes: what replicas send and what the log stores (docs/formats/paxos-wire.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/error.h"
#include "paxos/message.h"
#include "paxos/types.h"

namespace hailstone::paxos {

// Every value has one encoding, and decoders take no other. Nothing here is checksummed: whoever carries or stores the
// bytes does that. Errors: Unsupported for a version, body or record kind of a later program; Corrupt for anything
// else.

inline constexpr uint8_t kWireVersion = 1;
/// In one message.
inline constexpr size_t kRecordsMax = 1u << 16, kSlotsMax = 1u << 16;

// ---- parts, as the log stores them too ----

/// Data is at most kValueBytesMax (CHECKed).
void encode(const Record& record, Encoder& out);
void encode(const HardState& hard, Encoder& out);
void encode(const Config& config, Encoder& out);
void encode(const SnapshotMeta& meta, Encoder& out);
/// These read one value and leave what follows it. Data of a record is copied into bytes of its own.
Result<Record> decode_record(Decoder& in);
Result<HardState> decode_hard_state(Decoder& in);
Result<Config> decode_config(Decoder& in);
Result<SnapshotMeta> decode_snapshot_meta(Decoder& in);
/// No record's encoding is longer.
size_t encoded_bytes_max(const Record& record);

// ---- messages ----

/// Appends the version and the message. At most kRecordsMax records, kSlotsMax slots (CHECKed).
void encode(const Message& message, Bytes& out);
Result<Message> decode(ByteView bytes);
/// No message's encoding is longer; costs a look at each of its records. For splitting frames.
size_t encoded_bytes_max(const Message& message);

/// Messages of many groups for one peer, in order.
struct Frame {
  std::vector<Message> messages;
  size_t unknown = 0;  // messages of kinds that a later program knows: skipped
};
/// Adds a message to a frame; an empty `frame` becomes one.
void append_to_frame(const Message& message, Bytes& frame);
Bytes encode_frame(std::span<const Message> messages);
Result<Frame> decode_frame(ByteView bytes);

}  // namespace hailstone::paxos
