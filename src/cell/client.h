// The client of a cell without its I/O: one session over many connections, calls, locks, watches and a coherent cache.
#pragma once

#include <algorithm>

#include "cell/client_lease.h"
#include "cell/client_locks.h"
#include "cell/client_tickets.h"

namespace hailstone::cell::client {

/// One thread at a time. After every call of a function that takes `now_ns` the driver does what output() says and
/// clears it. Frames, codec, addresses and threads are the driver's.
///
/// Every call ends with one CallEnded in the output, of this input or a later one, at the latest when the core is told
/// a time that is its deadline or later; see next_wakeup_ns(). Tags: see Tag. Deadlines are times, kNever for none.
class Core {
 public:
  enum class State : uint8_t { None, Opening, Connected, Jeopardy };

  /// `options` are valid.
  Core(const Options& options, int64_t now_ns);

  Output& output() { return output_; }
  /// on_tick() is due then, if nothing else comes before. A time that has passed: now.
  int64_t next_wakeup_ns() const;
  void on_tick(int64_t now_ns);

  // ---- one connection at a time; the core asks for it: Output::connect ----
  void on_connected(int64_t now_ns);
  void on_message(wire::MemberMessage message, int64_t now_ns);
  /// Also when dialling failed. Not after Output::disconnect.
  void on_disconnected(const Error& error, int64_t now_ns);

  // ---- the session ----
  State state() const { return state_; }
  SessionId session() const { return session_; }  // 0 in None and Opening
  /// Asks for a session, if there is none; calls may follow at once. SessionChanged tells.
  void open(int64_t now_ns);
  /// Ends it, behind all commands before. Whether the cell says so or the deadline comes first, there is none then.
  void close(Tag tag, int64_t deadline_ns, int64_t now_ns);

  // ---- calls ----
  /// Of the session: Txn, ChangeSettings, SetRules. Done at most once, in the order of the calls, over any number of
  /// connections and masters. NotDone without a session.
  void command(Tag tag, Body body, int64_t deadline_ns, int64_t now_ns);
  /// Without a session: Unknown when the connection is lost.
  void command_once(Tag tag, Body body, int64_t deadline_ns, int64_t now_ns);
  /// Local reads go to the member of now: they may go back in revision after another connection.
  void ask(Tag tag, wire::Ask::View view, wire::Query query, int64_t deadline_ns, int64_t now_ns);
  /// Linearizable, and kept in the cache if it may be. Calls for one path go together.
  void read(Tag tag, ByteView path, int64_t deadline_ns, int64_t now_ns);
  /// What read() would give now, at once: valid until the next call of another function of this; null when it is not in
  /// the cache. Allocates nothing.
  const Copy* cached(ByteView path, int64_t now_ns) { return now_ns < copies_end_ns() ? reads_.find(path) : nullptr; }
  /// The cache's copies are what read() would give before this time, as far as is known now; 0: they are not. It rises
  /// with keep-alives; what it falls for drops the copies, too. With Options::Drops::Told others than this core's
  /// thread may therefore read what cached() gave: a copy that Output::dropped has not named since then, by a clock
  /// that shows less than this time when read after looking at whether it was named. Whoever carries the output out
  /// makes both known to them, in this order, before it sends the messages.
  int64_t copies_end_ns() const {
    // Once the cell has closed the session no writer waits for it, which is before the reply is here.
    if (state_ != State::Connected || closing_) return 0;
    return std::min(leases_.ends_ns(), leases_.cache_ends_ns());
  }
  /// Like command_once.
  void manage(Tag tag, Bytes request, int64_t deadline_ns, int64_t now_ns);
  /// See Locks. Try: Refused with Unavailable if somebody else has it. `delay_ms`: see cell::Lock.
  void lock(Tag tag, ByteView path, LockMode mode, Lock::Wait wait, uint32_t delay_ms, int64_t deadline_ns,
            int64_t now_ns);
  void unlock(Tag tag, ByteView path, int64_t deadline_ns, int64_t now_ns);
  /// As if its deadline had come, but with Cancelled. Nothing happens to a call that has ended.
  void give_up(Tag tag, int64_t now_ns);

  // ---- watches: they need no session, and live as long as this ----
  /// Events behind `after` (none: from when a member answers) at and beneath a path, see Watches; at most watches_max.
  /// `about`: only of this session's locks. Ended at once when there are too many.
  void watch(WatchTag tag, Bytes prefix, std::optional<Revision> after, SessionId about, int64_t now_ns);
  /// Nothing of it comes any more.
  void unwatch(WatchTag tag, int64_t now_ns);
  /// The application is done with so many bytes of WatchEvents.
  void taken(WatchTag tag, size_t bytes, int64_t now_ns);

  wire::Epoch epoch() const { return reads_.epoch(); }
  const Cache& cache() const { return reads_.cache(); }
  size_t calls() const { return tickets_.size(); }

 private:
  enum class Link : uint8_t { Down, Dialling, Greeting, Up };

  // Every input: time first, then the input, then what follows from it and what there is to send.
  void advance(int64_t now_ns);
  void settle(int64_t now_ns);
  void route(Requests::Ended ended, int64_t now_ns);
  void on_read(Requests::Ended ended, int64_t now_ns);
  void flush(int64_t now_ns);
  void finish(int64_t now_ns) {
    settle(now_ns);
    flush(now_ns);
  }

  // Messages.
  void take(wire::Welcome& welcome, int64_t now_ns);
  void take(wire::Result& result, int64_t now_ns);
  void take(wire::Lease& lease, int64_t now_ns);
  void take(wire::Invalidate& invalidate, int64_t now_ns);
  void take(wire::Events& events, int64_t now_ns);
  void take(wire::WatchRefused& refused, int64_t now_ns);
  void take(wire::Goodbye& goodbye, int64_t now_ns);
  void hear(wire::Epoch epoch);

  // The connection.
  void dial_later(int64_t now_ns);
  void disconnected(const Error& error, int64_t now_ns);
  void cut(Error error, int64_t now_ns);
  int64_t silence_ends_ns() const;

  // The session.
  void ask_for_session();
  void on_opened(const Requests::Ended& ended, int64_t now_ns);
  void on_closed(Requests::Ended ended, int64_t now_ns);
  void end_session(SessionChanged::Change change, const Error& why, int64_t now_ns);
  void advance_session(int64_t now_ns);
  bool fetches() const { return options_.caching == Options::Caching::On && state_ == State::Connected && !closing_; }

  // Calls.
  void start(Tag tag, Payload payload, Requests::Owner owner, bool needs_session, int64_t deadline_ns, int64_t now_ns);
  /// False: the call has ended.
  bool admit(Tag tag, bool needs_session, size_t bytes, int64_t deadline_ns, int64_t now_ns);
  void not_taken(Tag tag, Verdict verdict, Error error);
  void end_call(Tag tag, Verdict verdict, Error error, CallEnded::Value value = {});
  void drop_call(Tag tag, Error why, int64_t now_ns);

  Options options_;
  Output output_;
  Tickets tickets_;
  Requests requests_;
  Watches watches_;
  Locks locks_;
  Reads reads_;
  LeaseView leases_;

  Link link_ = Link::Down;
  int64_t dial_at_ns_;        // Down
  int64_t connected_ns_ = 0;  // Greeting, Up: since
  int64_t heard_ns_ = 0;      // last message
  uint32_t failures_ = 0;     // connections in a row that gave no answer
  uint64_t random_;

  State state_ = State::None;
  SessionId session_;
  bool closing_ = false;
  uint64_t nonces_ = 0;
  RequestId open_request_;        // Opening
  RequestId close_request_;       // closing
  int64_t open_sent_ns_ = 0;      // Opening: when it was first asked for; kNever: not yet
  int64_t jeopardy_ends_ns_ = 0;  // Jeopardy
  std::optional<wire::Dropped> dropped_;
};

}  // namespace hailstone::cell::client
