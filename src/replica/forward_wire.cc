#include "replica/forward_wire.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"

namespace hailstone::replica {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kForward = 1, kReply = 2;
/// How a refusal is said; 0 is none.
constexpr uint8_t kNotRefused = 0, kUnavailable = 1, kExhausted = 2;

template <class M>
void put_head(Encoder& to, uint8_t kind, const M& message) {
  to.u8(kVersion);
  to.u8(kind);
  to.varint(message.group.value);
  to.varint(message.ballot.round);
  to.u64(message.ballot.who.value);
  to.u64(message.life.value);
  to.varint(message.begin);
}

template <class M>
M get_head(Decoder& in) {
  M message;
  message.group = paxos::GroupId(in.varint());
  message.ballot.round = in.varint();
  message.ballot.who = paxos::ReplicaId(in.u64());
  message.life = paxos::LifeId(in.u64());
  message.begin = in.varint();
  return message;
}

}  // namespace

Bytes wrap(const Origin& origin, ByteView command) {
  Bytes out;
  out.reserve(command.size() + kOriginBytesMax);
  Encoder to(out);
  to.varint(origin.replica.value);
  to.u64(origin.life.value);
  to.varint(origin.number);
  to.raw(command);
  return out;
}

Result<Unwrapped> unwrap(ByteView data) {
  Decoder in(data);
  Unwrapped out;
  out.origin.replica = paxos::ReplicaId(in.varint());
  out.origin.life = paxos::LifeId(in.u64());
  out.origin.number = in.varint();
  if (!in.ok())
    return fail(Code::Corrupt, fmt::format("a forwarded command without its origin, {} bytes", data.size()));
  out.command = in.rest();
  return out;
}

Result<ByteView> command_of(const paxos::Record& record) {
  if (record.kind == paxos::Kind::Command) return ByteView(*record.data);
  auto unwrapped = unwrap(*record.data);
  if (!unwrapped)
    return std::unexpected(std::move(unwrapped).error().within(fmt::format("slot {}", record.slot.value)));
  return unwrapped->command;
}

Bytes encode(const ForwardMessage& message) {
  Bytes out;
  Encoder to(out);
  if (const auto* reply = std::get_if<ForwardReply>(&message)) {
    put_head(to, kReply, *reply);
    to.varint(reply->next);
    to.u8(!reply->refused ? kNotRefused : reply->why.code == Code::Exhausted ? kExhausted : kUnavailable);
    if (reply->refused) to.bytes(ByteView(reply->why.message).substr(0, kRefusalBytesMax));
    return out;
  }
  const auto& forward = std::get<Forward>(message);
  size_t bytes = 64;
  for (const auto& each : forward.commands) bytes += each->size() + 5;
  out.reserve(bytes);
  put_head(to, kForward, forward);
  to.varint(forward.first);
  to.varint(forward.commands.size());
  for (const auto& each : forward.commands) to.bytes(*each);
  return out;
}

Result<ForwardMessage> decode_forward_message(ByteView bytes) {
  Decoder in(bytes);
  const uint8_t version = in.u8(), kind = in.u8();
  if (!in.ok()) return fail(Code::Corrupt, "a forwarding message of less than two bytes");
  if (version != kVersion) return fail(Code::Unsupported, fmt::format("forwarding message of version {}", version));
  if (kind == kReply) {
    auto reply = get_head<ForwardReply>(in);
    reply.next = in.varint();
    const uint8_t refusal = in.u8();
    reply.refused = refusal != kNotRefused;
    if (reply.refused) reply.why = {refusal == kExhausted ? Code::Exhausted : Code::Unavailable, Bytes(in.bytes())};
    if (!in.done() || refusal > kExhausted || reply.why.message.size() > kRefusalBytesMax)
      return fail(Code::Corrupt, fmt::format("an answer to forwarded commands, malformed, {} bytes", bytes.size()));
    return reply;
  }
  if (kind != kForward) return fail(Code::Unsupported, fmt::format("forwarding message of kind {}", kind));
  auto forward = get_head<Forward>(in);
  forward.first = in.varint();
  const uint64_t count = in.varint();
  // A number is above 0 and never wraps; a command has one byte at least, its length.
  bool whole = in.ok() && forward.begin > 0 && forward.first >= forward.begin && count <= bytes.size() &&
               forward.first + count >= forward.first;
  if (whole) forward.commands.reserve(count);
  for (uint64_t i = 0; whole && i < count; ++i) {
    const ByteView command = in.bytes();
    whole = in.ok() && command.size() <= kCommandBytesMax;
    if (whole) forward.commands.push_back(std::make_shared<const Bytes>(command));
  }
  if (!whole || !in.done())
    return fail(Code::Corrupt, fmt::format("forwarded commands, malformed, {} bytes", bytes.size()));
  return forward;
}

}  // namespace hailstone::replica
