// The service and the client core against their promises, in virtual time; and the bench against planted mistakes.
#include "cell/bench.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hailstone::cell::bench {
namespace {

std::string told(const Report& report) {
  std::string out;
  for (const auto& violation : report.violations) out += violation + "\n";
  for (const auto& [what, n] : report.counts) out += fmt::format("{} {}, ", n, what);
  return out;
}

class Seed : public testing::TestWithParam<uint64_t> {};
TEST_P(Seed, KeepsEveryPromise) {
  const Report report = run({.seed = GetParam()});
  EXPECT_TRUE(report.violations.empty()) << "seed " << GetParam() << "\n" << told(report);
  for (const char* what : {"cached reads", "linearizable reads", "writes", "grants", "events"})
    EXPECT_GT(report.counts.at(what), 50u) << what;
}
INSTANTIATE_TEST_SUITE_P(Bench, Seed, testing::Range<uint64_t>(1, 13));

/// Leaders change and connections break, and nobody is cut off for long.
TEST(Bench, NoSessionIsLostWithoutALongFault) {
  for (uint64_t seed = 1; seed < 5; ++seed) {
    const Report report = run({.seed = seed, .gentle = true});
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << "\n" << told(report);
    EXPECT_GT(report.counts.at("elections"), 1u);
  }
}

/// Its clients go on believing it only as long as they may.
TEST(Bench, ALeaderThatIsCutOffDoesNoHarm) {
  for (uint64_t seed = 1; seed < 4; ++seed) {
    const Report report = run({.seed = seed, .leader_cut_off = true});
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << "\n" << told(report);
  }
}

/// For longer runs: HAILSTONE_BENCH_SEEDS seeds from HAILSTONE_BENCH_FROM on.
TEST(Bench, KeepsEveryPromiseOverMoreSeeds) {
  const char* seeds = std::getenv("HAILSTONE_BENCH_SEEDS");
  const char* from = std::getenv("HAILSTONE_BENCH_FROM");
  if (!seeds) GTEST_SKIP() << "set HAILSTONE_BENCH_SEEDS";
  const uint64_t first = from ? std::stoull(from) : 1;
  Report all;
  for (uint64_t seed = first; seed < first + std::stoull(seeds); ++seed) {
    const Report report = run({.seed = seed});
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << "\n" << told(report);
    for (const auto& [what, n] : report.counts) all.counts[what] += n;
  }
  fmt::print("in all: {}\n", told(all));
}

struct Mistake {
  const char* name;
  void (*plant)(Options&);
  uint64_t seeds;  // it is found among the first so many
};
class Planted : public testing::TestWithParam<Mistake> {};

TEST_P(Planted, IsFound) {
  for (uint64_t seed = 1; seed <= GetParam().seeds; ++seed) {
    Options options{.seed = seed};
    GetParam().plant(options);
    const Report report = run(options);
    if (report.violations.empty()) continue;
    fmt::print("{}: seed {}: {}\n", GetParam().name, seed, report.violations[0]);
    return;
  }
  ADD_FAILURE() << GetParam().name << " is not found in " << GetParam().seeds << " seeds";
}

#define SERVICE_MISTAKE(name, seeds)                         \
  Mistake {                                                  \
    #name, [](Options& o) { o.mistakes.name = true; }, seeds \
  }
#define CLIENT_MISTAKE(name, seeds)                                           \
  Mistake {                                                                   \
    "client_" #name, [](Options& o) { o.client_mistakes.name = true; }, seeds \
  }
INSTANTIATE_TEST_SUITE_P(
    Mistakes, Planted,
    testing::Values(SERVICE_MISTAKE(write_does_not_wait_for_copies, 3), SERVICE_MISTAKE(no_check_in_on_take_over, 3),
                    SERVICE_MISTAKE(fetch_ignores_commands_in_flight, 3),
                    Mistake{"renews_without_the_leaders_lease",
                            [](Options& o) {
                              o.leader_cut_off = true;
                              o.mistakes.renews_without_the_leaders_lease = true;
                            },
                            10},
                    SERVICE_MISTAKE(no_grace_on_take_over, 3), SERVICE_MISTAKE(master_counts_without_drift, 60),
                    SERVICE_MISTAKE(relay_repeats_what_is_not_repeatable, 6),
                    SERVICE_MISTAKE(watch_resumes_one_late, 3),
                    Mistake{"watch_resumes_one_early",
                            [](Options& o) {
                              o.run_ns = ns_of_ms(5000);
                              o.mistakes.watch_resumes_one_early = true;
                            },
                            20},
                    SERVICE_MISTAKE(blocked_watch_forgets, 3), SERVICE_MISTAKE(local_read_passes_for_linearizable, 3),
                    SERVICE_MISTAKE(relayed_call_is_told_not_done, 20), CLIENT_MISTAKE(keeps_copies_over_epochs, 20),
                    CLIENT_MISTAKE(clock_beyond_the_bound, 20)),
    [](const auto& test) { return Bytes(test.param.name); });

}  // namespace
}  // namespace hailstone::cell::bench
