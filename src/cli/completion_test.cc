#include <cstdio>

#include "cli/testing_cli.h"

namespace hailstone::cli {
namespace {

using ::testing::HasSubstr;

// Output and status of a shell command.
std::pair<int, std::string> shell(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  return {::pclose(pipe), out};
}

class CompletionTest : public CliTest {
 protected:
  std::string complete(const std::string& words, const std::string& current) {
    mirror::write_text(dir_ / "c", run({"completion", "bash"}).out);
    const std::string script = "source " + (dir_ / "c") + "; COMP_WORDS=(hailstone " + words + " '" + current +
                               "'); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _hailstone; echo \"${COMPREPLY[@]}\"";
    mirror::write_text(dir_ / "s", script);
    return shell("bash " + (dir_ / "s") + " 2>&1").second;
  }
  mirror::TemporaryDirectory dir_;
};

TEST_F(CompletionTest, ScriptsParse) {
  for (const char* name : {"bash", "zsh", "fish"}) {
    const Outcome outcome = run({"completion", name});
    ASSERT_EQ(outcome.exit, 0);
    mirror::write_text(dir_ / name, outcome.out);
    if (shell(std::string("command -v ") + name).second.empty()) continue;
    const auto [status, output] = shell(std::string(name) + " -n " + (dir_ / name) + " 2>&1");
    EXPECT_EQ(status, 0) << name << ": " << output;
  }
}

TEST_F(CompletionTest, BashCompletesCommandsAndOptions) {
  EXPECT_EQ(complete("", "vol"), "volume\n");
  EXPECT_EQ(complete("volume", "cr"), "create\n");
  EXPECT_EQ(complete("--url http://x volume", "cr"), "create\n");
  EXPECT_EQ(complete("import", "--ex"), "--exclude\n");
  EXPECT_THAT(complete("release hold", "--"), HasSubstr("--reason"));
  EXPECT_THAT(complete("release hold", "--"), HasSubstr("--json"));
}

}  // namespace
}  // namespace hailstone::cli
