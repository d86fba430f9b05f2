// hailstone-sim: runs seeds of the cluster simulator and says which fail.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>

#include "sim/cluster.h"

int main(int argc, char** argv) {
  using namespace hailstone::sim;
  CLI::App app("Runs whole clusters in virtual time, a seed each; exits 1 at the first violation");
  uint64_t first = 1, count = 100, operations = 60;
  uint32_t members = 0;
  int64_t seconds = 0;
  bool stale = false;
  bool trace = false, messages = false, keep_going = false;
  app.add_option("--seed", first, "the first seed");
  app.add_option("--count", count, "how many seeds");
  app.add_option("--seconds", seconds, "stop after so many seconds");
  app.add_option("--members", members, "voters (default: 3 and 5 in turn)");
  app.add_option("--operations", operations, "client operations of a seed");
  app.add_flag("--stale", stale, "clocks run off far beyond what the replicas assume: stale reads must show");
  app.add_flag("--trace", trace, "print what happens");
  app.add_flag("--messages", messages, "and every message sent");
  app.add_flag("--keep-going", keep_going, "count violations instead of stopping");
  CLI11_PARSE(app, argc, argv);
  const auto begun = std::chrono::steady_clock::now();
  uint64_t seeds = 0, done = 0, unknown = 0, events = 0, local = 0, elections = 0, violations = 0, slots = 0;
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Recipe recipe = Recipe::draw(seed, members ? members : seed % 2 ? 3 : 5);
    recipe.operations = operations;
    if (stale) recipe.clocks_beyond_bound();
    const RunReport report = run_cluster(recipe, seed, messages ? Trace::Messages : trace ? Trace::Print : Trace::Off);
    ++seeds;
    done += report.operations;
    unknown += report.unknown;
    events += report.events;
    local += report.reads_local;
    elections += report.elections;
    slots += report.slots;
    if (!report.violation.empty()) {
      ++violations;
      fmt::print("seed {} ({} members): {}\n", seed, recipe.members, report.violation);
      if (!keep_going) return 1;
    }
    if (seconds && elapsed() > static_cast<double>(seconds)) break;
  }
  fmt::print(
      "{} seeds, {} operations ({} without an answer), {} local reads, {} elections, {} slots, {} violations; {:.0f} "
      "events/s a core\n",
      seeds, done, unknown, local, elections, slots, violations,
      static_cast<double>(events) * CLOCKS_PER_SEC / static_cast<double>(std::clock()));
  return violations ? 1 : 0;
}
