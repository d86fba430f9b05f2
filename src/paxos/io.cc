#include "paxos/io.h"

#include <fmt/format.h>

namespace hailstone::paxos {

const char* role_name(Role role) {
  switch (role) {
    case Role::Follower: return "follower";
    case Role::Candidate: return "candidate";
    case Role::Leader: return "leader";
    case Role::Removed: return "removed";
    case Role::Stopped: return "stopped";
  }
  return "?";
}

const char* body_name(const Body& body) {
  static constexpr const char* kNames[] = {"Probe",       "ProbeReply", "Prepare", "Promise", "Fetch",  "Values",
                                           "Accept",      "Accepted",   "Refuse",  "Learn",   "Chosen", "SnapshotOffer",
                                           "ReadRequest", "ReadReply",  "Handoff", "Rest",    "Resting"};
  static_assert(std::size(kNames) == std::variant_size_v<Body>);
  return kNames[body.index()];
}

void Output::clear() {
  messages.clear();
  writes.clear();
  commits.clear();
  outcomes.clear();
  reads.clear();
  events.clear();
}

bool Output::empty() const {
  return messages.empty() && writes.empty() && commits.empty() && outcomes.empty() && reads.empty() && events.empty();
}

std::string Options::problem() const {
  if (!self) return "self must not be 0";
  if (alpha < 1 || alpha > 8192) return fmt::format("alpha {}: 1..8192", alpha);
  if (heartbeat_ns <= 0 || grant_ns < 2 * heartbeat_ns)
    return fmt::format("grant {} ns must be at least two heartbeats of {} ns", grant_ns, heartbeat_ns);
  if (rest_after_ns < 0) return fmt::format("rest after {} ns: 0 (never) or more", rest_after_ns);
  if (clock_error_ppm >= 500'000) return fmt::format("clock error {} ppm: below 500,000", clock_error_ppm);
  if (candidacy_step_ns <= 0 || batch_bytes == 0 || inflight_bytes == 0)
    return "steps and byte limits must be positive";
  return "";
}

}  // namespace hailstone::paxos
