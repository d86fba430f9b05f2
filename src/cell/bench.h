// A whole cell in virtual time: members, their shared log, links and clients, with faults drawn from a seed, and a
// judge. For tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cell/service.h"

namespace hailstone::cell::bench {

/// What goes wrong on the way from a client's core to the wire and back, as if the core were wrong.
struct ClientMistakes {
  bool keeps_copies_over_epochs = false;  // never hears of a new epoch
  bool clock_beyond_the_bound = false;    // leases last a tenth longer
};

struct Options {
  uint64_t seed = 1;
  size_t members = 3;
  size_t clients = 5;
  int64_t run_ns = ns_of_ms(30'000);  // with faults; the rest until all is quiet
  bool gentle = false;  // leaders change and connections break, but nobody is cut off for long: no session may expire
  bool leader_cut_off = false;  // the only fault: a leader that nobody but its clients can reach, for 4 to 8 s
  Mistakes mistakes;
  ClientMistakes client_mistakes;
};

struct Report {
  /// What was promised and not kept; the first few. Each begins with the virtual time.
  std::vector<std::string> violations;
  /// What happened, by name, so that tests see that a run is worth something.
  std::map<std::string, uint64_t> counts;
};

/// The same options, the same report.
Report run(const Options& options);

}  // namespace hailstone::cell::bench
