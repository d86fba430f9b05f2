// What the cell's database holds (docs/formats/cell.md): files, directories, sessions, locks, rules, settings, events.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/ids.h"

namespace hailstone::cell {

using SessionId = Id<struct SessionTag>;            // never reused
using Revision = Id<struct RevisionTag>;            // of the whole cell: one for each command that made an event
using Instance = Id<struct InstanceTag>;            // of a file, given at its creation; never reused, on no path
using LockGeneration = Id<struct LockTag>;          // of a grant; rises over all locks, never reused
using CommandNumber = Id<struct CommandNumberTag>;  // per session: 1, 2, 3 ...
using ClusterTime = Id<struct ClusterTimeTag>;      // microseconds, about those since 1970; never goes back
using Nonce = std::array<uint8_t, 16>;

inline constexpr size_t kFileBytesMax = 256 << 10;
inline constexpr size_t kPrincipalBytesMax = 255;
inline constexpr size_t kRulesMax = 256;        // of a principal
inline constexpr size_t kPrincipalsMax = 4096;  // with rules
inline constexpr size_t kHoldersMax = 1024;     // of a shared lock; later ones queue
inline constexpr uint32_t kLockDelayMsMax = 60'000;
inline constexpr ClusterTime kTimeMax{uint64_t{1} << 62};

/// Limits, part of the state so that all members refuse alike. What is there already stays when one is lowered.
struct Settings {
  uint32_t sessions_max = 65'536;
  uint64_t files_max = 1'000'000;
  uint64_t bytes_max = 4ull << 30;           // contents of all files
  uint32_t file_bytes_max = kFileBytesMax;   // at most that
  uint32_t waiters_max = 1024;               // in the queue of a lock
  uint32_t holds_max = 1024;                 // of a session: ephemeral files, locks, places in queues
  uint32_t subtree_files_max = 10'000;       // deleted by one operation
  uint64_t history_events_max = 1'000'000;   // kept for watchers
  uint64_t history_bytes_max = 64ull << 20;  // of their records
  uint32_t lease_ms_min = 2'000;             // a session's lease is brought into these bounds
  uint32_t lease_ms_max = 120'000;

  bool operator==(const Settings&) const = default;
  /// Invalid, naming the field.
  Result<void> validate() const;
  void encode(Encoder& out) const;
  static Settings decode(Decoder& in);
};

/// What one record counts for the whole cell, so that no command has to.
struct Counters {
  Revision revision;  // of the last event
  Revision floor;     // events at and before it are forgotten
  ClusterTime time;   // of the last command
  SessionId last_session;
  Instance last_instance;
  LockGeneration last_grant;
  uint64_t sessions = 0;
  uint64_t files = 0;
  uint64_t content_bytes = 0;
  uint64_t history_events = 0;
  uint64_t history_bytes = 0;  // of the history's values
  ClusterTime next_delay;      // when the next lock-delay ends; 0: none runs
  uint64_t principals = 0;     // that have rules; 0: everything is allowed to everybody
  uint64_t admins = 0;         // of them, those with the admin right on "/"

  bool operator==(const Counters&) const = default;
  Bytes encode() const;
  static Result<Counters> decode(ByteView bytes);
};

struct FileStat {
  Instance instance;
  uint64_t generation = 0;         // of the content: 1 at creation, one more with each write
  LockGeneration lock_generation;  // of the newest grant of the lock of this path that the file has seen; 0: none
  Revision created;
  Revision changed;  // last write
  SessionId owner;   // of an ephemeral file; 0: it stays
  uint64_t bytes = 0;

  bool operator==(const FileStat&) const = default;
};
/// There while anything is beneath it.
struct DirectoryStat {
  uint64_t children = 0;  // files and directories directly beneath, at least 1
  Revision changed;       // when one of them came or went last

  bool operator==(const DirectoryStat&) const = default;
};
using Node = std::variant<FileStat, DirectoryStat>;
void encode(Encoder& out, const FileStat& stat);
FileStat decode_file_stat(Decoder& in);
void encode(Encoder& out, const Node& node);
Node decode_node(Decoder& in);

enum class LockMode : uint8_t { Shared = 1, Exclusive = 2 };

/// Names one grant of a lock: whoever acts on the holder's word checks that it still stands, or that it has seen none
/// newer (`generation` rises).
struct Sequencer {
  Bytes path;
  LockMode mode = LockMode::Exclusive;
  LockGeneration generation;

  bool operator==(const Sequencer&) const = default;
};

struct LockRecord {
  struct Holder {
    SessionId session;
    LockGeneration generation;
    uint32_t delay_ms = 0;
    bool operator==(const Holder&) const = default;
  };
  struct Waiter {
    SessionId session;
    LockMode mode = LockMode::Exclusive;
    uint32_t delay_ms = 0;
    bool operator==(const Waiter&) const = default;
  };
  LockMode mode = LockMode::Exclusive;  // of all holders; without meaning where there are none
  std::vector<Holder> holders;          // in order of their grants; one if exclusive
  std::vector<Waiter> waiters;          // in order of arrival; no session twice, here or among the holders
  ClusterTime delayed_until;            // nobody is granted before; 0: no delay

  bool operator==(const LockRecord&) const = default;
  bool idle() const { return holders.empty() && waiters.empty() && !delayed_until; }
  Bytes encode() const;
  static Result<LockRecord> decode(ByteView bytes);
};

/// Replies and contents up to so many bytes are in the record that tells of them: one record less to write and to read.
inline constexpr size_t kInlineReplyBytes = 256, kInlineRepliesBytes = 2048;  // each, and of a session
inline constexpr size_t kInlineContentBytes = 512;

struct SessionRecord {
  struct KeptReply {
    uint32_t bytes = 0;
    Bytes inlined;  // empty: it has a record of its own
    bool operator==(const KeptReply&) const = default;
  };
  Nonce nonce{};
  Bytes principal;
  uint32_t lease_ms = 0;
  bool caching = false;  // its client may answer reads from memory
  ClusterTime opened;
  uint32_t holds = 0;              // ephemeral files, locks, places in queues
  CommandNumber last;              // newest command
  std::vector<KeptReply> replies;  // those up to `last` that are not acknowledged

  bool operator==(const SessionRecord&) const = default;
  /// The oldest command whose reply is kept; last.next() if none is.
  CommandNumber first_kept() const { return CommandNumber(last.value + 1 - replies.size()); }
  Bytes encode() const;
  static Result<SessionRecord> decode(ByteView bytes);
};

/// What a session has: an ephemeral file, a lock, a place in a lock's queue.
enum class Hold : uint8_t { Ephemeral = 1, Lock = 2, Wait = 3 };

enum class Right : uint8_t { Read = 1, Write = 2, Lock = 4, Admin = 8 };
inline constexpr uint8_t kAllRights = 15;
/// Rights on a path and all beneath it. None implies another.
struct Rule {
  Bytes prefix;
  uint8_t rights = 0;  // union of Right

  bool operator==(const Rule&) const = default;
};
Bytes encode_rules(const std::vector<Rule>& rules);
Result<std::vector<Rule>> decode_rules(ByteView bytes);
void encode(Encoder& out, const std::vector<Rule>& rules);
std::vector<Rule> decode_rule_list(Decoder& in);

struct Event {
  enum class Kind : uint8_t {
    Created = 1,
    Changed = 2,
    Deleted = 3,
    LockAcquired = 4,
    LockReleased = 5,  // by unlock or close
    LockLost = 6,      // the holder's session expired
    Settings = 7,      // of the cell; its path is "/"
    Rules = 8,         // likewise
  } kind = Kind::Created;
  Bytes path;
  Instance instance;               // of the file; for files only
  uint64_t generation = 0;         // of its content; for files only
  SessionId session;               // the holder; for locks only
  LockGeneration lock_generation;  // for locks only
  LockMode mode = LockMode::Exclusive;

  bool operator==(const Event&) const = default;
};
Bytes encode_events(const std::vector<Event>& events);
Result<std::vector<Event>> decode_events(ByteView bytes);
void encode(Encoder& out, const Event& event);
Event decode_event(Decoder& in);
/// How many there are, without reading them.
Result<uint64_t> count_events(ByteView bytes);

}  // namespace hailstone::cell
