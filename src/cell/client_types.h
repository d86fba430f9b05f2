// What the client core of a cell is told and what it says: options, ends of calls, events, wishes to its driver.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <variant>
#include <vector>

#include "cell/wire.h"

namespace hailstone::cell::client {

// Times are nanoseconds of one monotonic clock that counts suspend (Clock::monotonic_ns); they never go back.
inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// The driver's name of a call or of a watch. Among those that have not ended it is given once; never 0.
using Tag = Id<struct ClientCallTag>;
using WatchTag = Id<struct ClientWatchTag>;
using RequestId = Id<struct ClientRequestTag>;  // of what is sent for them, in that order; never reused

/// Commands of a session that are sent and not decided, with those decided behind one that is not: the machine keeps
/// 64 replies.
inline constexpr uint64_t kWindow = 32;

struct Options {
  enum class Caching : uint8_t { Off, On };
  enum class Reopen : uint8_t { WhenAsked, AtOnce };
  enum class Drops : uint8_t { Silent, Told };

  std::array<uint8_t, 16> seed{};  // random: nonces and back-off follow from it; no two clients have the same
  uint32_t lease_ms = 12'000;      // wished for
  Caching caching = Caching::Off;
  Drops drops = Drops::Silent;           // Told: Output::dropped says which copies have left the cache
  Reopen reopen = Reopen::WhenAsked;     // after a session has expired
  uint32_t grace_ms = 45'000;            // of jeopardy, before the session is given up
  uint32_t clock_error_ppm = 10'000;     // no clock is off by more; as in the cell
  uint32_t silence_ms = 4'000;           // without any answer: another member is tried
  uint32_t backoff_ms_min = 10;          // before the second attempt to connect; doubled with each that fails
  uint32_t backoff_ms_max = 1'000;       //
  size_t calls_max = 1'024;              // that have not ended
  size_t call_bytes_max = 16 << 20;      // of what they ask
  size_t locks_max = 1'024;              // held, waited for or being given up
  size_t watches_max = 1'024;            //
  size_t watch_bytes_max = 256 << 10;    // of one watch's events that the application has not taken
  size_t cache_entries_max = 10'000;     //
  size_t cache_bytes_max = 64ull << 20;  // contents and paths

  /// Invalid, naming the field.
  hailstone::Result<void> validate() const;
};

/// A file as it is, or that there is none.
struct Copy {
  std::optional<File> file;
  Revision revision;  // the reading shows all revisions up to this
  bool operator==(const Copy&) const = default;
};

enum class Verdict : uint8_t {
  Done,
  Refused,  // the cell said no: nothing was done
  NotDone,  // nothing was done, nor will be. Of a lock: it is not held, and a grant on its way is given back
  Unknown,  // it was sent: it may have been done, or be done yet
};

/// Ends a call. Exactly one for each, at the latest at its deadline (or the first input after it).
struct CallEnded {
  /// Done: Reply of commands (monostate of unlock and close), Answered of ask, Copy of read, Managed of manage,
  /// Sequencer of lock.
  using Value = std::variant<std::monostate, Reply, wire::Result::Answered, Copy, wire::Result::Managed, Sequencer>;
  Tag tag;
  Verdict verdict = Verdict::Done;
  Error error;  // unless done: Timeout for a deadline, Cancelled for give_up(), else what the cell or the session gave
  Value value;
};

/// Of the session (Chubby §2.8).
struct SessionChanged {
  enum class Change : uint8_t {
    Opened,    // connected: the cell has a session
    Refused,   // it will not give one; there is none
    Jeopardy,  // the lease may have run out: the cache is off, locks may be lost, calls wait
    Safe,      // it has not: connected again
    Expired,   // it has, or nobody could say before the grace period ended: locks are lost, calls have ended
    Closed,    // by close()
  } change = Change::Opened;
  SessionId session;
  Error error;  // Refused, Expired: why
};
/// Before SessionChanged::Expired, for each lock that was held.
struct LockLost {
  Sequencer sequencer;
};
/// Exactly once and in order. `batch.compacted`: the watch's last; read again, watch anew from there. After use `bytes`
/// must be given back by taken(), or the watch stands still at Options::watch_bytes_max.
struct WatchEvents {
  WatchTag watch;
  EventBatch batch;
  size_t bytes = 0;
};
struct WatchEnded {
  WatchTag watch;
  Error error;
};
struct LinkChanged {
  std::optional<wire::Welcome> welcome;  // up; down when there is none
  Error error;                           // down: why
};
/// Not to be confused with an Event of the cell.
using Notice = std::variant<CallEnded, SessionChanged, LockLost, WatchEvents, WatchEnded, LinkChanged>;

/// For the driver after every input, in this order; it empties it with clear().
struct Output {
  bool disconnect = false;                    // close the connection; nothing of it is given to the core any more
  std::vector<Bytes> dropped;                 // Options::Drops: copies that nobody may read any more, before all below
  std::vector<wire::ClientMessage> messages;  // for the connection there is, in order
  std::vector<Notice> notices;                // for the application, in order
  bool connect = false;                       // dial the next address; then on_connected() or on_disconnected()

  void clear() {
    disconnect = connect = false;
    dropped.clear();
    messages.clear();
    notices.clear();
  }
};

}  // namespace hailstone::cell::client
