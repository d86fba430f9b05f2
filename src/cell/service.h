// What the cores of the cell's service share: times, members, leases counted on two clocks.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "replica/database.h"

namespace hailstone::cell {

/// One voter or learner of the root group, as consensus names it.
using MemberId = Id<struct MemberTag>;

/// Nanoseconds of this host's CLOCK_BOOTTIME. Compared on this host only.
struct Time {
  int64_t ns = 0;
  auto operator<=>(const Time&) const = default;
  constexpr Time operator+(int64_t d) const { return {ns + d}; }
  constexpr int64_t operator-(Time other) const { return ns - other.ns; }
};
inline constexpr Time kNever{INT64_MAX};

constexpr int64_t ns_of_ms(uint64_t ms) { return static_cast<int64_t>(ms) * 1'000'000; }

/// Bound on the rate error of any clock, of members and clients, parts per million: that of consensus
/// (paxos::Options::clock_error_ppm; src/paxos/README.md, "Clocks").
inline constexpr int64_t kClockErrorPpm = 10'000;

/// How long the giver of a lease must wait, by its own clock, from the receipt of what asked for it: then it has ended
/// for its holder, who counts the plain length from when it asked.
constexpr int64_t outlasting_ns(uint64_t lease_ms) {
  return ns_of_ms(lease_ms) / (1'000'000 - kClockErrorPpm) * (1'000'000 + kClockErrorPpm) + 1'000'000;
}

/// Of copies that clients keep; at most the session's own lease. The same in all members: a new master waits it out.
inline constexpr uint32_t kCacheLeaseMs = 2000;

/// The state at hand, looked at after what is being answered had arrived.
struct View {
  const replica::Reader& state;
  /// Group::may_read(), asked after that too and before `state` was: this member led then, and `state` shows all that
  /// was acknowledged.
  bool may_read = false;
};

/// Planted where the service must do otherwise, so that tests see that they would notice. All false outside of tests.
struct Mistakes {
  bool write_does_not_wait_for_copies = false;
  bool no_check_in_on_take_over = false;
  bool fetch_ignores_commands_in_flight = false;
  bool renews_without_the_leaders_lease = false;
  bool no_grace_on_take_over = false;
  bool master_counts_without_drift = false;
  bool relay_repeats_what_is_not_repeatable = false;
  bool watch_resumes_one_late = false;
  bool watch_resumes_one_early = false;
  bool blocked_watch_forgets = false;
  bool local_read_passes_for_linearizable = false;
  bool relayed_call_is_told_not_done = false;
};

}  // namespace hailstone::cell
