// The commands of the cell's state machine (docs/formats/cell.md). Everything that a command needs to decide is in it
// or in the database.
#pragma once

#include <variant>
#include <vector>

#include "base/hash.h"
#include "cell/records.h"

namespace hailstone::cell {

inline constexpr size_t kCommandBytesMax = 1 << 20;
inline constexpr size_t kOperationsMax = 128;  // compares, and operations of either branch, of a transaction
inline constexpr size_t kListMax = 1000;       // entries of one listing
inline constexpr size_t kExpireMax = 256;      // sessions in one command
inline constexpr size_t kSubtreePathBytesMax = 4
                                               << 20;  // of what one command deletes by DeleteSubtree: all in one event

/// Opens a session for the command's principal. The same nonce again gives the same session, as it is, while it lives.
struct OpenSession {
  Nonce nonce{};
  uint32_t lease_ms = 0;  // wished; the reply says what it became
  bool caching = false;   // its client may answer reads from memory: writers have to wait for it
  bool operator==(const OpenSession&) const = default;
};
/// Ends the command's session: its ephemeral files go, its locks are released and its places in queues given up.
struct CloseSession {
  bool operator==(const CloseSession&) const = default;
};
/// Ends sessions whose leases ran out: as closing, but their locks are lost, which starts lock-delays. Only the cell's
/// own. Sessions that are not there are passed over.
struct Expire {
  std::vector<SessionId> sessions;
  bool operator==(const Expire&) const = default;
};

// Conditions of a transaction. About paths where no file is: only FileAbsent holds.
struct FileExists {
  Bytes path;
  bool operator==(const FileExists&) const = default;
};
struct FileAbsent {
  Bytes path;
  bool operator==(const FileAbsent&) const = default;
};
struct InstanceIs {
  Bytes path;
  Instance instance;
  bool operator==(const InstanceIs&) const = default;
};
struct GenerationIs {
  Bytes path;
  uint64_t generation = 0;
  bool operator==(const GenerationIs&) const = default;
};
struct ContentIs {
  Bytes path;
  Hash256 sha256;
  bool operator==(const ContentIs&) const = default;
};
struct LockHeldBy {
  Bytes path;
  SessionId session;
  bool operator==(const LockHeldBy&) const = default;
};
/// The grant still stands.
struct SequencerStands {
  Sequencer sequencer;
  bool operator==(const SequencerStands&) const = default;
};
using Compare = std::variant<FileExists, FileAbsent, InstanceIs, GenerationIs, ContentIs, LockHeldBy, SequencerStands>;

/// Writes a whole file.
struct Put {
  enum class Mode : uint8_t {
    Write = 1,    // creates it, or writes one of the same life
    Create = 2,   // Exists if it is there
    Replace = 3,  // NotFound if it is not; of whatever life
  };
  enum class Life : uint8_t {
    Lasting = 1,
    Ephemeral = 2,  // goes with the command's session; written by others only through Replace
  };
  Bytes path;
  Bytes content;
  Mode mode = Mode::Write;
  Life life = Life::Lasting;
  bool operator==(const Put&) const = default;
};
/// Of a file: NotFound if it is not there, Conflict if it is a directory (which has something beneath it, always).
struct Delete {
  Bytes path;
  bool operator==(const Delete&) const = default;
};
/// Deletes all files beneath a path, not a file at it. Conflict when there are more than `files_max` (with 0, a check
/// that it is empty); Exhausted when all these operations of a transaction together go beyond the setting
/// subtree_files_max or kSubtreePathBytesMax. Nothing is deleted then.
struct DeleteSubtree {
  Bytes path;
  uint64_t files_max = 0;
  bool operator==(const DeleteSubtree&) const = default;
};
struct Get {
  Bytes path;
  bool operator==(const Get&) const = default;
};
/// What is beneath a path in order, from behind `after` on.
struct List {
  enum class Depth : uint8_t {
    Children = 1,  // files and directories directly beneath, by name
    Files = 2,     // all files beneath, by their path below the listed one: "b/c"
  };
  Bytes path;
  Depth depth = Depth::Children;
  Bytes after{};             // Listing::next of the page before; empty: from the start
  uint32_t entries_max = 0;  // 0, or more than kListMax: kListMax
  bool operator==(const List&) const = default;
};
using Operation = std::variant<Put, Delete, DeleteSubtree, Get, List>;

/// All of one branch or, when an operation is refused, nothing. Operations see those before them.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Operation> then_operations;  // when all compares hold
  std::vector<Operation> else_operations;  // otherwise
  bool operator==(const Txn&) const = default;
};

/// A lock belongs to a path, whether there is a file or not. A session that holds it in this mode already keeps its
/// grant; one that waits keeps its place.
struct Lock {
  enum class Wait : uint8_t {
    Try = 1,    // LockReply::Busy if it cannot be had now
    Queue = 2,  // granted later, in order of arrival, shared or exclusive alike
  };
  Bytes path;
  LockMode mode = LockMode::Exclusive;
  Wait wait = Wait::Try;
  uint32_t delay_ms = 0;  // how long nobody gets it after this session has expired holding it; at most kLockDelayMsMax
  bool operator==(const Lock&) const = default;
};
struct Unlock {
  Bytes path;
  bool operator==(const Unlock&) const = default;
};
/// Gives up a place in a queue. When the lock was granted meanwhile it stays so, and the reply says it.
struct Cancel {
  Bytes path;
  bool operator==(const Cancel&) const = default;
};
/// Only time goes on. Only the cell's own.
struct Tick {
  bool operator==(const Tick&) const = default;
};
struct ChangeSettings {
  Settings settings;
  bool operator==(const ChangeSettings&) const = default;
};
/// Replaces a principal's rules; an empty list removes them. Conflict if rules would be left of which none gives
/// anybody the admin right on "/".
struct SetRules {
  Bytes principal;  // "*": everybody's
  std::vector<Rule> rules;
  bool operator==(const SetRules&) const = default;
};

using Body = std::variant<OpenSession, CloseSession, Expire, Txn, Lock, Unlock, Cancel, Tick, ChangeSettings, SetRules>;

struct Command {
  ClusterTime time;      // the leader's; the machine never lets it go back
  Bytes principal;       // as the service has authenticated it; empty: the cell itself, to whom everything is allowed
  SessionId session;     // 0: none
  CommandNumber number;  // of the session: the next, or one whose reply is wanted again; 0 where there is no session
  CommandNumber got;     // the client has the replies of this and all before
  Body body;

  bool operator==(const Command&) const = default;
  Bytes encode() const;
  size_t encoded_bytes() const;
  /// Unsupported: of another version or type than this program knows. Invalid: malformed.
  static Result<Command> decode(ByteView bytes);
};

// Parts that messages have too (wire.h). Decoding poisons what has no meaning.
void encode(Encoder& out, const Body& body);  // type:u8 first
size_t encoded_bytes(const Body& body);
void decode(Decoder& in, Body& body);
void encode(Encoder& out, const Get& get);
void decode(Decoder& in, Get& get);
void encode(Encoder& out, const List& list);
void decode(Decoder& in, List& list);
void encode(Encoder& out, const SequencerStands& compare);
void decode(Decoder& in, SequencerStands& compare);

}  // namespace hailstone::cell
