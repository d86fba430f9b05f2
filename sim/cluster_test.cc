#include "sim/cluster.h"

#include <gtest/gtest.h>

namespace hailstone::sim {
namespace {

TEST(Cluster, KeepsEveryPromiseUnderAllFaults) {
  uint64_t operations = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const RunReport report = run_cluster(Recipe::draw(seed, seed % 2 ? 3 : 5), seed);
    ASSERT_EQ(report.violation, "") << "replay: hailstone-sim --count 1 --trace --seed " << seed;
    operations += report.operations;
  }
  EXPECT_GT(operations, 7000u);
}

// Whatever decides a run is in its seed, so that a failing one can be seen again.
TEST(Cluster, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Recipe recipe = Recipe::draw(seed, 3);
    const RunReport once = run_cluster(recipe, seed), again = run_cluster(recipe, seed);
    EXPECT_EQ(once.trace_hash, again.trace_hash);
    EXPECT_EQ(once.history, again.history);
  }
}

// Without a fault there is one election for each group, however long it runs, and nothing is left undone.
TEST(Cluster, NoLeaderChangesWithoutAFault) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Recipe recipe;
    recipe.groups = 1;
    recipe.operations = 400;
    recipe.loss = recipe.duplicate = recipe.slow_message = 0;
    const RunReport report = run_cluster(recipe, seed);
    EXPECT_EQ(report.violation, "");
    EXPECT_EQ(report.elections, 1u) << seed;
    EXPECT_EQ(report.unknown, 0u) << seed;
  }
}

// What the checker is worth: clocks that run off beyond the stated bound must show.
TEST(Cluster, ClocksBeyondTheBoundGiveStaleReads) {
  uint64_t violations = 0;
  for (uint64_t seed = 1; seed <= 200 && violations == 0; ++seed) {
    Recipe recipe = Recipe::draw(seed, 3);
    recipe.clocks_beyond_bound();
    violations += run_cluster(recipe, seed).violation.empty() ? 0 : 1;
  }
  EXPECT_GT(violations, 0u);
}

}  // namespace
}  // namespace hailstone::sim
