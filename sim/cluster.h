// A whole cluster of consensus groups in virtual time, with clients, faults and an oracle: one seed decides everything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/linearizability.h"

namespace hailstone::sim {

enum class Storage : uint8_t { Modelled, Mixed };

/// What a run is made of. Times in nanoseconds of virtual time, rates as mean time between events; 0 switches one off.
struct Recipe {
  uint32_t members = 3;  // voters at the start
  uint32_t spares = 1;   // nodes that may be brought in
  uint32_t groups = 2;
  uint32_t clients = 4;
  uint32_t keys = 3;         // of each group
  uint32_t locks = 1;        // of each group, each with a register that it guards
  uint64_t operations = 60;  // of all clients together; then faults end and all must come to rest
  int64_t think_ns = 20'000'000;
  int64_t client_timeout_ns = 800'000'000;

  uint32_t alpha = 32;
  int64_t heartbeat_ns = 50'000'000, grant_ns = 500'000'000;
  uint32_t clock_error_ppm = 10'000;  // what the replicas assume
  uint32_t clock_drift_ppm = 10'000;  // what the clocks do at worst, either way
  bool lease_reads = true;
  uint32_t snapshot_every = 40;  // slots
  uint32_t checksum_every = 8;
  uint64_t trim_lag_max = 30;
  int64_t rest_after_ns = 0;
  /// Any node takes commands and has them done by whoever leads (replica::Proposals). Otherwise clients look for the
  /// leader.
  bool forward = false;

  int64_t delay_min_ns = 200'000, delay_mean_ns = 1'000'000;
  double loss = 0.01, duplicate = 0.01, slow_message = 0.01;  // slow: a hundred times the delay
  int64_t sync_mean_ns = 500'000;
  int64_t partition_every_ns = 0, crash_every_ns = 0, pause_every_ns = 0, rate_every_ns = 0, slow_disk_every_ns = 0;
  int64_t resign_every_ns = 0, reconfigure_every_ns = 0, damage_every_ns = 0, blackout_every_ns = 0;
  int64_t fault_mean_ns = 1'000'000'000;  // how long each lasts

  /// Each node has a real log (replica::Journal) on a simulated disk. Otherwise storage is modelled, which is faster.
  bool journal = false;
  int64_t disk_error_every_ns = 0, disk_full_every_ns = 0;  // with a real log only
  /// Halfway, more logs are damaged than can be borne: from then on nobody need be served, but never wrongly.
  bool ruin = false;

  /// A mix drawn from the seed: each fault on or off, and how often.
  static Recipe draw(uint64_t seed, uint32_t members, Storage storage = Storage::Mixed);
  /// Leases under clocks that are no clocks, and readers who would notice: the control.
  void clocks_beyond_bound();
  /// With real logs, and what can befall them, drawn from the seed.
  void use_journal(uint64_t seed);
};

struct RunReport {
  std::string violation;  // empty: none
  uint64_t operations = 0, unknown = 0, reads_local = 0, slots = 0, elections = 0, crashes = 0, events = 0,
           messages = 0;
  uint64_t grants = 0, fenced = 0;  // of locks; writes of former holders that were refused
  int64_t virtual_ns = 0;
  uint64_t trace_hash = 0;  // of everything that happened
  History history;
};

enum class Trace : uint8_t { Off, Print, Messages };

/// Runs to the end, or to the first violation. Deterministic.
RunReport run_cluster(const Recipe& recipe, uint64_t seed, Trace trace = Trace::Off);

}  // namespace hailstone::sim
