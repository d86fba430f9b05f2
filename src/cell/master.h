// What the leading member does for the whole cell: time, session leases, copies that clients keep, and the order in
// which commands are proposed. A pure machine: messages and outcomes in, messages and proposals out.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>
#include <vector>

#include "cell/copies.h"
#include "cell/service.h"
#include "cell/wire.h"

namespace hailstone::cell {

struct MasterOptions {
  // Commands that are not proposed yet: held for copies, or out of order. Beyond it, refused as Unavailable. A
  // principal gets no more of it than it leaves free: alone half, and there is always something for another.
  size_t held_commands_max = 16'384;
  uint64_t held_bytes_max = 64u << 20;
  size_t held_per_session_max = 256;
  size_t copies_max = 1'000'000;  // of all clients, in files; beyond it reads are answered and not kept
  size_t copies_per_session_max = 65'536;
  size_t waiting_max = 65'536;       // keep-alives and reads that wait for the leader's lease
  uint64_t expire_holds_max = 4096;  // of the sessions in one Expire, together, unless one has more
  int64_t retry_ns = ns_of_ms(50);   // after a refused proposal of the master's own
  Mistakes mistakes;
};

class Master {
 public:
  using Options = MasterOptions;

  /// `messages` may go in any order but within one connection; `proposals` go to Group::propose in this order.
  struct Output {
    struct Send {
      MemberId to;
      wire::PeerMessage message;
    };
    struct Proposal {
      uint64_t tag = 0;  // comes back in outcome(), once; never used twice
      Bytes command;
    };
    std::vector<Send> messages;
    std::vector<Proposal> proposals;
    /// Something waits for the leader's lease: run Group::read, and call tick() when it is done.
    bool read_wanted = false;
  };

  explicit Master(const Options& options = {})
      : options_(options), copies_(options.copies_max, options.copies_per_session_max) {}

  /// This member leads, in a ballot of round `epoch`, and view.may_read: nothing from before this epoch is outstanding.
  /// `wall_us` is microseconds since 1970. Error: the state cannot be read.
  Result<void> lead(Time now, wire::Epoch epoch, int64_t wall_us, const View& view, Output& out);
  /// It does not, or is about to hand over. What was not proposed goes back, to be asked of another.
  void follow(Output& out);
  bool leads() const { return epoch_.value != 0; }
  wire::Epoch epoch() const { return epoch_; }

  /// A Relay from a member, which may be this one; others are ignored. Error, of these all: the state cannot be read.
  Result<void> receive(Time now, MemberId from, wire::PeerMessage message, const View& view, Output& out);
  /// What became of a proposal (Group::propose). view.state shows it applied.
  Result<void> outcome(Time now, uint64_t tag, hailstone::Result<Bytes> reply, const View& view, Output& out);
  Result<void> tick(Time now, const View& view, Output& out);
  /// When tick() is wanted next.
  Time wake() const { return timers_.empty() ? kNever : timers_.top().at; }

  struct Figures {
    size_t sessions = 0, held_commands = 0, in_flight = 0, copies = 0, timers = 0;
    uint64_t held_bytes = 0;
    bool taking_over = false;  // commands that change files wait for clients to check in
  };
  Figures figures() const;
  /// Empty, or what contradicts what.
  std::string broken_invariant() const;

 private:
  using Tag = uint64_t;
  using Fate = wire::Result::Refused::Fate;

  /// Whom to answer. No member: the master itself asked.
  struct Asker {
    MemberId member;
    wire::ConnectionId connection;
    wire::CallId call;
  };
  struct Pending {
    enum class Stage : uint8_t { Waiting, Prepared, Proposed } stage = Stage::Waiting;
    bool alone = false;            // in no session's queue
    bool changes_nothing = false;  // the machine will only answer
    bool changes_rules = false;    // perhaps; counted in rules_under_way_
    /// By the rules of this version it is refused, so it was prepared as one that changes nothing.
    std::optional<uint64_t> refused_by{};
    Asker asker{};
    Command command{};
    Touched touched{};
    size_t bytes = 0;
    size_t waits = 0;    // sessions that have to drop copies
    bool gated = false;  // waits for the end of the take-over
  };
  struct Session {
    Bytes principal;
    uint32_t lease_ms = 0;
    bool caching = false;
    /// It is not renewed any more: it ends, by its client or by its lease, or has ended.
    enum class State : uint8_t { Live, Closing, Expiring } state = State::Live;
    Time end;        // of its lease
    Time cache_end;  // of its copies' lease; not moved while it has something to drop
    MemberId member;
    wire::ConnectionId connection;           // 0: none known
    CommandNumber next;                      // to be proposed
    std::map<CommandNumber, Tag> queue;      // not proposed yet
    std::map<CommandNumber, Tag> in_flight;  // proposed
  };
  struct Timer {
    enum class What : uint8_t { Lease, Copies, Deadline, Gate, Delay, Expire } what;
    Time at;
    uint64_t id = 0;
    bool operator>(const Timer& other) const { return at > other.at; }
  };
  struct Waiting {
    MemberId from;
    wire::Relay relay;
  };

  ClusterTime cluster_time(Time now) const;
  int64_t outlasting(uint32_t lease_ms) const;
  void arm(Timer::What what, Time at, uint64_t id = 0);
  void run_timers(Time now, Output& out);
  Result<void> settle(Time now, const View& view, Output& out);

  void send(const Asker& asker, wire::Result result, Output& out);
  void refuse(const Asker& asker, Error error, Fate fate, Output& out);
  void give_back(const Asker& asker, Output& out);

  // master_commands.cc
  Result<void> take_up(Time now, MemberId from, wire::Relay relay, const View& view, Output& out);
  bool has_room(const Bytes& principal, size_t bytes) const;
  Tag hold(Pending pending);
  void not_held_any_more(const Pending& pending);
  void settled(const Pending& pending);
  Result<bool> is_refused(const Command& command, const View& view) const;
  bool is_outdated(const Pending& pending) const { return pending.refused_by && pending.refused_by != rules_version_; }
  void arm_deadline(Time now, Tag tag, uint32_t deadline_ms);
  Result<void> prepare(Time now, Tag tag, const View& view, Output& out);
  Result<void> advance(Time now, SessionId id, const View& view, Output& out);
  void propose(Time now, Tag tag, Output& out);
  void drop_held(Tag tag);
  void ready(Tag tag);
  Result<void> answer(Time now, const Pending& pending, hailstone::Result<Reply> reply, const View& view, Output& out);

  // master_sessions.cc
  Result<Session*> find_session(Time now, SessionId id, const View& view);
  Session& adopt(Time now, SessionId id, Bytes principal, uint32_t lease_ms, bool caching);
  bool opened_now(Time now, const Command& command, const Opened& opened);
  Result<void> keep_alive(Time now, MemberId from, const wire::Relay& relay, const View& view, Output& out);
  void lease_timer(Time now, SessionId id);
  Result<void> expire(Time now, const View& view, Output& out);
  Result<void> own_outcome(Time now, Tag tag, const Pending& pending, const hailstone::Result<Reply>& reply,
                           const View& view, Output& out);
  Result<void> ended(Time now, SessionId id, const View& view, Output& out);
  Result<void> learn_delay(Time now, const View& view);
  void delay_timer(Time now);

  // master_copies.cc
  Result<void> fetch(Time now, MemberId from, const wire::Relay& relay, const View& view, Output& out);
  bool may_keep(Time now, const Session& session, ByteView path) const;
  uint32_t renew_copies(Time now, SessionId id, Session& session, Output& out);
  void copies_timer(Time now, SessionId id);
  void dropped(const wire::Relay& relay, const wire::Dropped& dropped);
  void release(const std::vector<Tag>& commands);
  void check_in(SessionId id);
  void open_gate();

  Options options_;
  Tag last_tag_ = 0;
  std::unordered_map<Tag, Asker> former_;  // proposed in an earlier epoch, not settled yet

  // Of this epoch; all empty when not leading.
  wire::Epoch epoch_;
  ClusterTime base_;  // the cell's time at base_at_
  Time base_at_;
  std::unordered_map<SessionId, Session> sessions_;
  std::unordered_map<Tag, Pending> commands_;
  uint64_t held_bytes_ = 0;
  size_t held_ = 0;
  struct Share {
    size_t commands = 0;
    uint64_t bytes = 0;
    bool operator==(const Share&) const = default;
  };
  std::unordered_map<Bytes, Share> held_of_;  // by principal
  uint64_t rules_version_ = 0;                // rises with each command that may change them
  size_t rules_under_way_ = 0;                // of those: prepared, and not settled
  Copies copies_;
  BusyPaths busy_;             // of all commands from prepare() until they are settled
  bool keep_nothing_ = false;  // something of unknown outcome was too much to remember
  size_t unknown_ = 0;
  std::set<SessionId> unchecked_;  // may have copies from before this epoch
  bool gate_open_ = true;
  std::vector<Tag> gated_;
  std::deque<SessionId> due_;                                              // leases have run out; Expiring
  std::optional<Tag> expire_;                                              // under way, one at a time
  bool expire_blocked_ = false;                                            // until its timer
  bool ticking_ = false;                                                   // a Tick is under way
  ClusterTime delay_due_;                                                  // when one is wanted; 0: not
  std::deque<Waiting> waiting_;                                            // for the leader's lease
  std::set<SessionId> ready_;                                              // whose queue may go on
  std::vector<Tag> ready_alone_;                                           // commands without session that may go on
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;  // some of commands that are settled
  size_t timers_max_ = 0;                                                  // beyond it those are taken out
};

}  // namespace hailstone::cell
