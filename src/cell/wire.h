// What clients, members and the master of a cell say to each other (docs/formats/cell-wire.md).
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cell/command.h"
#include "cell/query.h"
#include "cell/reply.h"

namespace hailstone::cell::wire {

inline constexpr uint16_t kVersionMin = 1, kVersionMax = 1;
inline constexpr size_t kMessageBytesMax = 4u << 20;
/// Of the frames that carry messages (net/frame.h).
inline constexpr uint8_t kClientChannel = 16;  // one message
inline constexpr uint8_t kMasterChannel = 17;  // Relay and Reverse, between members

/// A connection's own, chosen by the client: rises, is never used twice on one connection.
using CallId = Id<struct CallTag>;
using WatchId = Id<struct WatchTag>;
/// Of a keep-alive: rises over the whole life of a client.
using Beat = Id<struct BeatTag>;
/// One leadership of the root group; rises with each. 0: none was heard of yet.
using Epoch = Id<struct EpochTag>;

// ---- client to member ----

/// The first message.
struct Hello {
  uint16_t version_min = kVersionMin, version_max = kVersionMax;
  bool operator==(const Hello&) const = default;
};
/// A command of a session, or one without. The member adds principal and time. Sent again (same session and number, or
/// the same nonce) it is done once.
struct Do {
  CallId call;
  uint32_t deadline_ms = 0;  // what is left; the member answers by then, if only that it does not know
  SessionId session;
  CommandNumber number, got;
  Body body;
  bool operator==(const Do&) const = default;
};

struct GetLock {
  Bytes path;
  bool operator==(const GetLock&) const = default;
};
struct GetSessions {
  SessionId after;
  uint32_t entries_max = 0;
  bool operator==(const GetSessions&) const = default;
};
/// Those of one principal.
struct GetRules {
  Bytes principal;
  bool operator==(const GetRules&) const = default;
};
struct GetState {  // settings and counters
  bool operator==(const GetState&) const = default;
};
using Query = std::variant<Get, List, SequencerStands, GetLock, GetSessions, GetRules, GetState>;

/// A read, answered by the member itself.
struct Ask {
  enum class View : uint8_t {
    Linearizable = 1,  // shows everything acknowledged before it was sent, by whomever
    Local = 2,         // what this member has; may be behind, says at which revision
  };
  CallId call;
  uint32_t deadline_ms = 0;
  View view = View::Linearizable;
  Query query;
  bool operator==(const Ask&) const = default;
};
/// A linearizable read of a file that the client wants to keep; answered by the master.
struct Fetch {
  CallId call;
  uint32_t deadline_ms = 0;
  SessionId session;  // opened with `caching`
  Bytes path;
  bool operator==(const Fetch&) const = default;
};
struct KeepAlive {
  SessionId session;
  Beat beat;
  Epoch seen;  // the newest epoch heard of; nothing that is cached is from an older one
  bool operator==(const KeepAlive&) const = default;
};
/// Of the newest Invalidate whose paths are dropped, and of all before it from that epoch.
struct Dropped {
  SessionId session;
  Epoch epoch;
  uint64_t sequence = 0;
  bool operator==(const Dropped&) const = default;
};
/// Events behind `after`, at and beneath a path. Of the cell's own: "/".
struct Watch {
  WatchId watch;
  Bytes prefix;
  std::optional<Revision> after;  // none: from what the member has when it answers
  SessionId about;                // only events of this session's locks; 0: all
  bool operator==(const Watch&) const = default;
};
struct Unwatch {
  WatchId watch;
  bool operator==(const Unwatch&) const = default;
};
/// Asks what does not go through the log: members, leadership, snapshots. The content is the service's.
struct Manage {
  CallId call;
  uint32_t deadline_ms = 0;
  Bytes request;
  bool operator==(const Manage&) const = default;
};
using ClientMessage = std::variant<Hello, Do, Ask, Fetch, KeepAlive, Dropped, Watch, Unwatch, Manage>;

// ---- member to client ----

struct Welcome {
  uint16_t version = 0;
  uint64_t member = 0;
  Bytes cell;       // its name
  Bytes principal;  // whom the member takes the client for
  bool operator==(const Welcome&) const = default;
};
struct SessionInfo {
  SessionId id;
  Bytes principal;
  uint32_t lease_ms = 0;
  bool caching = false;
  ClusterTime opened;
  uint32_t holds = 0;
  bool operator==(const SessionInfo&) const = default;
};
struct StateInfo {
  Settings settings;
  Counters counters;
  bool operator==(const StateInfo&) const = default;
};
/// What a query gave, in the order of Query.
using Answer = std::variant<Got, Listed, bool, LockRecord, std::vector<SessionInfo>, std::vector<Rule>, StateInfo>;

struct Refused {
  Error error;
  /// NotDone: and will not be. Unknown: it may have been done, or be done yet.
  enum class Fate : uint8_t { NotDone = 1, Unknown = 2 } fate = Fate::NotDone;
  bool operator==(const Refused&) const = default;
};
struct Answered {
  Revision revision;  // what it was read at shows all revisions up to this
  Answer answer;
  bool operator==(const Answered&) const = default;
};
struct Fetched {
  Revision revision;
  std::optional<File> file;
  Epoch epoch;
  /// The newest Invalidate of this epoch that was sent to the session before this: a later one is about this copy too.
  uint64_t sequence = 0;
  bool keep = false;  // may be cached until invalidated, while the cache lease runs
  bool operator==(const Fetched&) const = default;
};
struct Managed {
  Bytes response;
  bool operator==(const Managed&) const = default;
};
/// Ends a call. Exactly one for each, unless the connection ends.
struct Result {
  using Refused = wire::Refused;
  using Answered = wire::Answered;
  using Fetched = wire::Fetched;
  using Managed = wire::Managed;
  CallId call;
  std::variant<Refused, Reply, Answered, Fetched, Managed> result;
  bool operator==(const Result&) const = default;
};
/// Answers a keep-alive. Both leases count from when the client sent that beat.
struct Lease {
  SessionId session;
  Beat beat;
  Epoch epoch;
  uint32_t lease_ms = 0;  // 0: there is no such session, or not of this principal
  uint32_t cache_ms = 0;
  bool operator==(const Lease&) const = default;
};
/// Copies of these files must go before Dropped is sent. `sequence` counts those of this session and epoch: 1, 2, 3 ...
struct Invalidate {
  SessionId session;
  Epoch epoch;
  uint64_t sequence = 0;
  std::vector<Bytes> paths;
  std::vector<Bytes> prefixes;  // and all beneath
  bool operator==(const Invalidate&) const = default;
};
/// First one of a watch: it has begun. Exactly once and in order, or `compacted`, from where the watch goes on.
struct Events {
  WatchId watch;
  EventBatch batch;  // `upto`: go on from here after a reconnection
  bool operator==(const Events&) const = default;
};
/// A watch ends: Denied, Invalid, Exhausted.
struct WatchRefused {
  WatchId watch;
  Error error;
  bool operator==(const WatchRefused&) const = default;
};
/// The last message on a connection. Unavailable: try another member.
struct Goodbye {
  Error error;
  bool operator==(const Goodbye&) const = default;
};
using MemberMessage = std::variant<Welcome, Result, Lease, Invalidate, Events, WatchRefused, Goodbye>;

// ---- between a member and the master's ----

/// Of a member's process: never used twice in one life of it.
using ConnectionId = Id<struct ConnectionTag>;

/// What the master decides: Do, Fetch, KeepAlive, Dropped.
struct Relay {
  ConnectionId connection;
  Bytes principal;  // as the member has authenticated it; members trust each other
  ClientMessage message;
  bool operator==(const Relay&) const = default;
};
/// Result, Lease or Invalidate, for that connection.
struct Reverse {
  ConnectionId connection;
  MemberMessage message;
  bool operator==(const Reverse&) const = default;
};
/// I do not lead: that call was not taken up.
struct NotMaster {
  ConnectionId connection;
  CallId call;
  bool operator==(const NotMaster&) const = default;
};
using PeerMessage = std::variant<Relay, Reverse, NotMaster>;

// Decoding. Invalid: malformed, or longer than kMessageBytesMax. Unsupported: of a type that this program does not
// know.
Bytes encode(const ClientMessage& message);
Bytes encode(const MemberMessage& message);
Bytes encode(const PeerMessage& message);
hailstone::Result<ClientMessage> decode_client_message(ByteView bytes);
hailstone::Result<MemberMessage> decode_member_message(ByteView bytes);
hailstone::Result<PeerMessage> decode_peer_message(ByteView bytes);

}  // namespace hailstone::cell::wire
