// What every member does for its clients: answers reads from its own state, tells events, and passes on to the master
// what the master decides. A pure machine: messages in, messages out.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>
#include <vector>

#include "cell/access.h"
#include "cell/watches.h"

namespace hailstone::cell {

struct FrontOptions {
  MemberId member;
  Bytes cell;  // its name

  // Of one connection.
  size_t calls_max = 1024;                  // not answered yet; beyond it, refused as Exhausted
  size_t call_bytes_max = 16u << 20;        // of their messages
  size_t watches_max = 10'000;              //
  size_t events_unwritten_max = 1 << 20;    // beyond it the watches wait and read on from the history later
  size_t answers_unwritten_max = 8u << 20;  // beyond it reads are refused as Exhausted
  size_t unwritten_max = 32u << 20;         // beyond it the client is cut off
  int64_t stalled_ns = ns_of_ms(30'000);    // a client that reads nothing for so long is cut off

  // Of all connections of one principal.
  size_t principal_connections_max = 65'536;
  size_t principal_calls_max = 65'536;
  size_t principal_call_bytes_max = 256u << 20;
  size_t principal_watches_max = 262'144;

  uint32_t deadline_ms_max = 600'000;  // a longer one is brought down to it
  size_t read_points_max = 4;          // asked for at the same time
  size_t events_per_piece = 1024;      // read of the history at once
  size_t pieces_per_tick = 8;
  int64_t retry_ns = ns_of_ms(20);         // where a member that should lead says that it does not
  int64_t upkeep_ns = ns_of_ms(1000);      // between looks for stalled clients and watches without events
  int64_t progress_ns = ns_of_ms(10'000);  // how often such a watch hears how far it is
  Mistakes mistakes;
};

class Front final : private Watches::Sink {
 public:
  using Options = FrontOptions;

  struct Output {
    struct ToClient {
      enum class Then : uint8_t { GoOn, Close };
      wire::ConnectionId connection;
      Bytes message;
      Then then = Then::GoOn;
    };
    struct ToMember {  // which may be this one
      MemberId to;
      wire::PeerMessage message;
    };
    /// For the service itself: answer with managed().
    struct Manage {
      wire::ConnectionId connection;
      wire::CallId call;
      Bytes principal;
      Bytes request;
    };
    std::vector<ToClient> clients;      // in order for each connection
    std::vector<ToMember> members;      // in order for each connection
    std::vector<uint64_t> read_points;  // run Group::read for each, then read_point()
    std::vector<Manage> manage;
  };

  explicit Front(Options options) : options_(std::move(options)), watches_(options_.mistakes) {}
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  /// Before all else. `state` is that of the member, from then on too.
  Result<void> start(Time now, const replica::Reader& state);
  /// Says Goodbye to all; who comes later hears it too.
  void stop(Output& out);

  // Clients. Errors: the state cannot be read.
  /// `connection` is never used twice, in no life of this member. `principal` as TLS has shown it; not empty.
  void connected(Time now, wire::ConnectionId connection, Bytes principal);
  void closed(wire::ConnectionId connection);
  Result<void> receive(Time now, wire::ConnectionId connection, wire::ClientMessage message,
                       const replica::Reader& state, Output& out);
  /// What came from it is no message.
  void malformed(wire::ConnectionId connection, Error error, Output& out);
  /// So many bytes of Output::clients, counted by their messages, have left for the client.
  void written(Time now, wire::ConnectionId connection, size_t bytes, Output& out);

  // The cell.
  /// Who leads, as far as is known here; 0: nobody.
  void leader(Time now, MemberId member, Output& out);
  /// The connection to that member broke: what was sent there, or comes from there, may be lost.
  void link_lost(Time now, MemberId member, Output& out);
  /// Reverse and NotMaster; others are ignored.
  void receive(Time now, MemberId from, wire::PeerMessage message, Output& out);
  /// `state` shows all that was acknowledged before the point was asked for.
  Result<void> read_point(Time now, uint64_t tag, Result<void> reached, const replica::Reader& state, Output& out);
  void managed(wire::ConnectionId connection, wire::CallId call, Result<Bytes> response, Output& out);
  /// The state has gone on: what is new is told with the next tick().
  void applied() { more_events_ = watches_.size() > 0; }
  /// Tells events, in bounded pieces: once for all inputs that come together.
  Result<void> tick(Time now, const replica::Reader& state, Output& out);
  /// When tick() is wanted next; a time that has passed: now.
  Time wake() const;

  struct Figures {
    size_t connections = 0, calls = 0, watches = 0;
    size_t timers = 0, asks = 0;  // bounded by the calls
    uint64_t call_bytes = 0, unwritten_bytes = 0;
  };
  Figures figures() const;
  /// Empty, or what contradicts what.
  std::string broken_invariant() const;

 private:
  using Fate = wire::Refused::Fate;

  struct Usage {
    size_t connections = 0, calls = 0, watches = 0;
    uint64_t call_bytes = 0;
    bool operator==(const Usage&) const = default;
  };
  struct Call {
    wire::ClientMessage message;
    size_t bytes = 0;
    Time deadline;
    std::vector<MemberId> out;  // where copies are of which nothing has been heard
    bool doubt = false;         // a copy may have been done, or be done yet
  };
  struct Connection {
    Bytes principal;
    bool greeted = false;
    wire::CallId last_call;
    wire::WatchId last_watch;
    std::map<wire::CallId, Call> calls;
    uint64_t call_bytes = 0;
    size_t watches = 0;
    std::optional<wire::KeepAlive> beat;  // the newest that is not answered
    uint64_t unwritten = 0;
    bool blocked = false;  // a watch waits for room
    Time wrote;            // when something was written last, or there was nothing to write
  };
  using Connections = std::unordered_map<wire::ConnectionId, Connection>;
  struct CallName {
    wire::ConnectionId connection;
    wire::CallId call;
    auto operator<=>(const CallName&) const = default;
  };
  struct Timer {
    enum class What : uint8_t { Deadline, Retry } what;
    Time at;
    CallName name;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  // front.cc: connections and watches.
  bool has_room(wire::ConnectionId connection) const override;
  void deliver(wire::ConnectionId connection, wire::Events events) override;
  void send(wire::ConnectionId connection, const wire::MemberMessage& message);
  void cut_off(wire::ConnectionId connection, Error error);
  void forget(Connections::iterator at);
  Result<void> take(Time now, wire::ConnectionId id, wire::ClientMessage message, const replica::Reader& state);
  void greet(wire::ConnectionId id, const wire::Hello& hello);
  Result<void> add_watch(wire::ConnectionId id, const wire::Watch& watch, const replica::Reader& state);
  Result<void> may_watch(const replica::Reader& state, const Permissions& permissions, const Bytes& principal,
                         ByteView prefix, SessionId about, Result<void>& may) const;
  Result<void> check_watches(const replica::Reader& state);
  Result<void> tell_events(const replica::Reader& state);
  void upkeep(Time now);

  // front_calls.cc
  Result<void> take_call(Time now, wire::ConnectionId id, wire::ClientMessage message, const replica::Reader& state);
  Call* find(CallName name);
  void relay(CallName name, Call& call, Time now);
  void deadline(CallName name);
  void finish(CallName name, wire::Result result);
  void refuse(CallName name, Error error, Fate fate);
  void want_read_point();
  Result<void> answer(CallName name, const replica::Reader& state);
  void arm(Timer timer);
  void run_timers(Time now);
  void step(Time now);

  Options options_;
  bool stopped_ = false;
  MemberId leader_;
  Connections connections_;
  std::unordered_map<Bytes, Usage> usage_;  // by principal
  Watches watches_;
  bool more_events_ = false;
  bool may_catch_up_ = false;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;  // some of calls that have ended
  size_t timers_max_ = 0;                                                  // beyond it those are taken out
  Time upkeep_at_;
  std::vector<CallName> asks_;  // linearizable, waiting for a read point
  std::map<uint64_t, std::vector<CallName>> read_points_;
  uint64_t last_read_point_ = 0;
  Time read_again_ = kNever;                  // a read point could not be had
  std::vector<wire::ConnectionId> hopeless_;  // have left too much unread
  Output* out_ = nullptr;                     // of the input at hand
};

}  // namespace hailstone::cell
