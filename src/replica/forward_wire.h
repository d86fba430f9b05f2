// What members say to get commands into the log of whoever leads (docs/formats/forward.md), and how a command in the
// log names the member that it came from.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "paxos/io.h"
#include "paxos/types.h"

namespace hailstone::replica {

/// Who gave a command to the leader. A number is used once in a life.
struct Origin {
  paxos::ReplicaId replica;
  paxos::LifeId life;
  uint64_t number = 0;
  auto operator<=>(const Origin&) const = default;
};

/// What a command may have at most, whoever leads: with its origin it must fit into a record.
inline constexpr size_t kOriginBytesMax = 10 + 8 + 10;
inline constexpr size_t kCommandBytesMax = paxos::kValueBytesMax - kOriginBytesMax;

/// The data of a record of Kind::Forwarded.
Bytes wrap(const Origin& origin, ByteView command);
struct Unwrapped {
  Origin origin;
  ByteView command;  // of the bytes given
};
Result<Unwrapped> unwrap(ByteView data);

/// What the machine sees of a record, if it is for the machine.
inline bool is_command(const paxos::Record& record) {
  return record.kind == paxos::Kind::Command || record.kind == paxos::Kind::Forwarded;
}
Result<ByteView> command_of(const paxos::Record& record);

/// Commands first, first + 1, ... of a member for the leader of that ballot.
struct Forward {
  paxos::GroupId group;
  paxos::Ballot ballot;
  paxos::LifeId life;  // of the sender
  uint64_t begin = 0;  // nothing below it is wanted any more; it never falls
  uint64_t first = 0;  // not below begin
  std::vector<paxos::SharedBytes> commands;
};

/// The leader has all below `next`, or never will have them. Refused: nor will it take anything from there on, until a
/// Forward says that the sender knows, by a higher `begin`.
struct ForwardReply {
  paxos::GroupId group;
  paxos::Ballot ballot;
  paxos::LifeId life;  // whom it answers
  uint64_t begin = 0;  // the highest heard
  uint64_t next = 0;
  bool refused = false;
  Error why;  // if refused: Exhausted or Unavailable, at most kRefusalBytesMax of message
};
inline constexpr size_t kRefusalBytesMax = 1024;

using ForwardMessage = std::variant<Forward, ForwardReply>;

Bytes encode(const ForwardMessage& message);
/// Unsupported for a version or kind of a later program, Corrupt for anything else.
Result<ForwardMessage> decode_forward_message(ByteView bytes);

}  // namespace hailstone::replica
