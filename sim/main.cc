// hailstone-sim: runs seeds of the cluster simulator and says which fail.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <ctime>
#include <string>

#include "sim/cluster.h"

int main(int argc, char** argv) {
  using namespace hailstone::sim;
  CLI::App app("Runs whole clusters in virtual time, a seed each; exits 1 at the first violation");
  uint64_t first = 1, count = 100, operations = 60;
  uint32_t members = 0;
  int64_t seconds = 0;
  std::string storage = "mix";
  bool stale = false;
  bool trace = false, messages = false, keep_going = false;
  app.add_option("--seed", first, "the first seed");
  app.add_option("--count", count, "how many seeds");
  app.add_option("--seconds", seconds, "stop after so many seconds");
  app.add_option("--members", members, "voters (default: 3 and 5 in turn)");
  app.add_option("--storage", storage,
                 "journal: real logs on simulated disks; model: modelled storage; mix: a quarter real")
      ->check(CLI::IsMember({"mix", "journal", "model"}));
  app.add_option("--operations", operations, "client operations of a seed");
  app.add_flag("--stale", stale, "clocks run off far beyond what the replicas assume: stale reads must show");
  app.add_flag("--trace", trace, "print what happens");
  app.add_flag("--messages", messages, "and every message sent");
  app.add_flag("--keep-going", keep_going, "count violations instead of stopping");
  CLI11_PARSE(app, argc, argv);
  const auto begun = std::chrono::steady_clock::now();
  struct Sum {
    uint64_t seeds = 0, operations = 0, unknown = 0, events = 0, grants = 0, fenced = 0;
    double cpu_seconds = 0;
  };
  std::array<Sum, 2> sums;  // modelled storage, real logs
  uint64_t local = 0, elections = 0, violations = 0, slots = 0;
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Recipe recipe = Recipe::draw(seed, members ? members : seed % 2 ? 3 : 5);
    if (storage == "journal" && !recipe.journal) recipe.use_journal(seed);
    if (storage == "model" && recipe.journal) recipe = Recipe::draw(seed, recipe.members, Storage::Modelled);
    recipe.operations = operations;
    if (stale) recipe.clocks_beyond_bound();
    const clock_t cpu = std::clock();
    const RunReport report = run_cluster(recipe, seed, messages ? Trace::Messages : trace ? Trace::Print : Trace::Off);
    Sum& sum = sums[recipe.journal];
    sum.cpu_seconds += static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
    ++sum.seeds;
    sum.operations += report.operations;
    sum.unknown += report.unknown;
    sum.events += report.events;
    sum.grants += report.grants;
    sum.fenced += report.fenced;
    local += report.reads_local;
    elections += report.elections;
    slots += report.slots;
    if (!report.violation.empty()) {
      ++violations;
      fmt::print("seed {} ({} members, {}): {}\n", seed, recipe.members,
                 recipe.journal ? "real logs" : "modelled storage", report.violation);
      if (!keep_going) return 1;
    }
    if (seconds && elapsed() > static_cast<double>(seconds)) break;
  }
  const auto rate = [](const Sum& sum) {
    return sum.cpu_seconds > 0 ? static_cast<double>(sum.events) / sum.cpu_seconds : 0;
  };
  const auto& [model, real] = sums;
  fmt::print(
      "{} seeds ({} on real logs), {} operations ({} without an answer), {} local reads, {} grants of locks, {} stale "
      "writes refused, {} elections, {} slots, {} violations; {:.0f} events/s a core, on real logs {:.0f}\n",
      model.seeds + real.seeds, real.seeds, model.operations + real.operations, model.unknown + real.unknown, local,
      model.grants + real.grants, model.fenced + real.fenced, elections, slots, violations, rate(model), rate(real));
  return violations ? 1 : 0;
}
