// One member of one group: multi-Paxos with a stable leader, leases and membership changes, without any I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "paxos/io.h"
#include "paxos/types.h"

namespace hailstone::paxos {

struct Core;

/// Deterministic: the same inputs at the same times give the same outputs. No thread, clock, file, socket, randomness.
/// README.md states the protocol and its invariants.
class Replica final {
 public:
  /// `options` and the configurations in `boot` must be usable (CHECKed: see their problem()).
  Replica(const Options& options, Boot boot, Time now);
  ~Replica();
  Replica(Replica&&) noexcept;
  Replica& operator=(Replica&&) noexcept;

  /// The only way in. Appends to `output`. Never blocks. Times must not fall.
  void step(Time now, Input input, Output& output);
  /// Call step(Tick) at or soon after this.
  Time next_wakeup() const;

  /// The lease test: true when state that has applied read_index() may be read and answered now, without asking anyone.
  /// `now` must have been read from the clock after the request arrived.
  bool may_read(Time now) const;
  /// When may_read() turns false if nothing comes before. INT64_MIN: it is false now.
  Time lease_end() const;
  Slot read_index() const;

  Role role() const;
  Ballot ballot() const;     // promised
  ReplicaId leader() const;  // whom it follows (itself when it leads); 0: nobody
  Slot chosen() const;       // complete up to here
  Slot end() const;          // leader: the highest slot proposed
  /// Leader: how many proposals would be taken now.
  size_t room() const;
  const Config& config() const;  // governs the next slot to be chosen
  /// Nothing is under way: no timer (next_wakeup() is kNever) and no message until something is asked of the group.
  /// Only a leader that rests without a member that is down calls that one every 20 rest_after_ns.
  bool resting() const;
  size_t bytes_in_use() const;
  /// Aborts where an invariant of README.md does not hold. For simulation and debug builds: O(window).
  void check_invariants() const;
  /// One line for traces and status pages.
  std::string describe() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace hailstone::paxos
