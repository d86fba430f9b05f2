// Decides whether a history of client operations is linearizable: registers with compare-and-set, and locks, key by
// key.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/error.h"

namespace hailstone::sim {

/// A key is a register (Read, Write, Cas, Delete) or a lock (Acquire, Release, Expire), never both.
///
/// A register holds a value id, 0 when absent, and starts absent. A lock starts free; a grant finds it free and carries
/// a sequencer greater than that of every earlier grant; Release and Expire free it if `client` holds it.
enum class Kind : uint8_t { Read, Write, Cas, Delete, Acquire, Release, Expire };

/// What the client knows. Failed: it certainly took no effect, and is left out. Unknown: it may take effect at any time
/// after its call, or never; its answer and return time mean nothing.
enum class Outcome : uint8_t { Ok, Failed, Unknown };

/// Refused: a Cas met another value than it expected, an Acquire found the lock held (by anyone), a Release or Expire
/// found that `client` did not hold it. Other kinds are always Done.
enum class Answer : uint8_t { Done, Refused };

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// One operation as a client saw it. It takes effect at one moment in [call_ns, return_ns], both ends included, so A
/// precedes B only if A.return_ns < B.call_ns.
struct Operation {
  uint64_t client = 0;  // on a lock also who holds it, and not 0; Expire: the holder whose lock ran out
  uint64_t key = 0;     //
  Kind kind = Kind::Read;
  Outcome outcome = Outcome::Ok;
  Answer answer = Answer::Done;
  uint64_t value = 0;     // Write: the new value, not 0. Cas: the new value, 0 deletes.
  uint64_t expected = 0;  // Cas: the value it replaces, 0 for absent
  uint64_t result = 0;    // Read: the value seen, 0 for absent. Acquire that was granted: the sequencer, not 0.
  int64_t call_ns = 0;
  int64_t return_ns = kNever;
  bool operator==(const Operation&) const = default;
};

using History = std::vector<Operation>;  // in any order

enum class Verdict : uint8_t {
  Linearizable,
  Violation,  // no order of the operations explains what the clients saw
  Unknown,    // the limit was reached first
};

struct Options {
  /// States explored for one key before giving up, on top of one for each of its operations. A state costs 32 to 64
  /// bytes.
  uint64_t states_max = 1 << 21;
};

struct Report {
  Verdict verdict = Verdict::Linearizable;  // Violation if any key has one, else Unknown if any key is undecided
  uint64_t operations = 0;                  // all in the history, those left out too
  uint64_t keys = 0;
  uint64_t states = 0;                   // explored, over all keys
  std::vector<uint64_t> violating_keys;  // ascending
  std::vector<uint64_t> undecided_keys;  // ascending
  bool operator==(const Report&) const = default;
};

/// Judges every key. Invalid, naming the operation's index, if the history is not one: a return before its call, a key
/// used as register and lock, a written value, lock client or sequencer of 0.
Result<Report> check(const History& history, const Options& options = {});

/// A small part of `history` (one key, a Violation under `options`) that is still a Violation, by call time.
///
/// First cuts it at the earliest time by which it fails: operations then in flight become Unknown. Then drops
/// operations while it still fails, but only such as cannot be what makes the rest fail: never the write of a value
/// that is left to be seen, never one half of a grant and its release. So what is left fails for a reason that the
/// whole history has too.
History shrink(const History& history, const Options& options = {});

}  // namespace hailstone::sim
