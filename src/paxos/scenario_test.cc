// Golden traces: every file under testdata/*.trace is run and must read as it does.
// PAXOS_REWRITE=1 writes what was caused into the files instead; read the difference before you commit it.
#include "paxos/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace hailstone::paxos {
namespace {

// PAXOS_TRACES names another folder: for the control, in which a trace is altered.
std::filesystem::path testdata() {
  const char* other = std::getenv("PAXOS_TRACES");
  return other ? std::filesystem::path(other) : std::filesystem::path(__FILE__).parent_path() / "testdata";
}

std::vector<std::string> traces() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testdata()))
    if (entry.path().extension() == ".trace") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, Trace) {
  const std::filesystem::path path = testdata() / (GetParam() + ".trace");
  const std::string expected = read(path);
  ASSERT_TRUE(expected.starts_with("# ")) << "a trace begins with what it shows";
  const ScenarioResult result = run_scenario(expected);
  if (std::getenv("PAXOS_REWRITE")) {
    std::ofstream(path) << result.text;
  } else {
    EXPECT_EQ(expected, result.text) << "if the new text is right: PAXOS_REWRITE=1 " << "paxos_test";
  }
  EXPECT_GE(result.commands, 3u);
  for (const std::string& violation : result.violations) ADD_FAILURE() << GetParam() << ": " << violation;
}

INSTANTIATE_TEST_SUITE_P(Traces, Golden, testing::ValuesIn(traces()), [](const auto& info) { return info.param; });

// What a trace expects is told from what it does: a line that was not caused is gone, and the comparison fails.
TEST(Scenario, WritesWhatWasCausedAnew) {
  const ScenarioResult result = run_scenario("# one\n> replicas 1\n  1 leads under 9.9\n\n> settle 10ms\n");
  EXPECT_EQ(result.text.find("9.9"), std::string::npos);
  EXPECT_NE(result.text.find("1 leads under 1.1"), std::string::npos) << result.text;
  EXPECT_TRUE(result.violations.empty());
}

TEST(Scenario, ACommandThatCannotBeReadIsAViolation) {
  for (const char* line : {"> replicas 1 2 3\n> fly 1\n", "> replicas 1 2 3\n> tick 7\n", "> replicas 1 x=1\n",
                           "> replicas 1 2 3\n> deliver 1->2\n", "> replicas 1 2 3\n> read 1\n"})
    EXPECT_EQ(run_scenario(line).violations.size(), 1u) << line;
}

}  // namespace
}  // namespace hailstone::paxos
