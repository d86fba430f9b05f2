#include "publish/hooks.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace hailstone::publish {
namespace {

class Hooks : public ::testing::Test {
 protected:
  Hooks() {
    char name[] = "/tmp/hooks_test.XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  ~Hooks() override { std::filesystem::remove_all(directory_); }

  HookCommand script(const std::string& body) {
    const std::string path = directory_ + "/hook.sh";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0700);
    return {.argv = {path}, .environment = {}, .working_directory = directory_, .timeout_ms = 20'000};
  }
  static KeySource keys(std::vector<Bytes> list) {
    return [list = std::move(list), next = size_t{0}]() mutable -> Result<std::optional<Bytes>> {
      if (next == list.size()) return std::nullopt;
      return list[next++];
    };
  }
  std::string directory_;
};
using Verdict = HookOutcome::Verdict;

TEST_F(Hooks, ExitZeroPasses) {
  const auto outcome = run_hook(script("cat >/dev/null; echo fine"), keys({"a"}));
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  EXPECT_EQ(outcome->verdict, Verdict::Passed);
  EXPECT_EQ(outcome->output, "fine\n");
  EXPECT_EQ(outcome->message, "");
}

TEST_F(Hooks, OtherExitCodesRefuseWithTheLastOutput) {
  const auto outcome = run_hook(script("echo checking; echo 'pool/a.deb: no signature' >&2; exit 3"), keys({}));
  EXPECT_EQ(outcome->verdict, Verdict::Refused);
  EXPECT_NE(outcome->message.find("exit code 3: checking\npool/a.deb: no signature"), std::string::npos)
      << outcome->message;
  const auto killed = run_hook(script("kill -9 $$"), keys({}));
  EXPECT_EQ(killed->verdict, Verdict::Refused);
  EXPECT_NE(killed->message.find("signal 9"), std::string::npos);
}

TEST_F(Hooks, KeysArriveOneALineWhateverTheyHold) {
  const auto outcome = run_hook(script("cat"), keys({"pool/a b.deb", "x\ny", "\xff"}));
  EXPECT_EQ(outcome->output, "pool/a%20b.deb\nx%0Ay\n%FF\n");
}

TEST_F(Hooks, ManyKeysAndMuchOutputFlowBothWays) {
  uint64_t left = 50'000;
  const auto outcome = run_hook(script("cat"), [&]() -> Result<std::optional<Bytes>> {
    if (left-- == 0) return std::nullopt;
    return Bytes("some/directory/key") + std::to_string(left);
  });
  EXPECT_EQ(outcome->verdict, Verdict::Passed);
  EXPECT_GT(outcome->output_bytes, 1'000'000u);
  EXPECT_EQ(outcome->output.size(), kHookOutputBytesMax);
  EXPECT_TRUE(outcome->output.ends_with("some/directory/key0\n"));
}

TEST_F(Hooks, MayExitWithoutReadingItsInput) {
  uint64_t given = 0;
  const auto outcome = run_hook(script("exec 0<&-; exit 0"), [&]() -> Result<std::optional<Bytes>> {
    if (++given > 1'000'000) return std::nullopt;
    return Bytes("key");
  });
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->verdict, Verdict::Passed);
  EXPECT_LT(given, 1'000'000u);
}

TEST_F(Hooks, TimeoutKillsTheWholeGroup) {
  HookCommand command = script("sleep 1000 & echo $!; wait");
  command.timeout_ms = 300;
  const auto outcome = run_hook(command, keys({}));
  ASSERT_EQ(outcome->verdict, Verdict::TimedOut);
  EXPECT_NE(outcome->message.find("within 300 ms"), std::string::npos);
  const pid_t grandchild = std::stoi(outcome->output);
  // A killed process ends when it is next scheduled: its pidfd turns readable then. Gone already is fine too.
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, grandchild, 0));
  if (fd < 0) {
    EXPECT_EQ(errno, ESRCH);
    return;
  }
  pollfd ended{fd, POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 10'000), 1);
  close(fd);
}

TEST_F(Hooks, AChildLeftBehindDoesNotHoldUpTheVerdict) {
  const auto start = std::chrono::steady_clock::now();
  const auto outcome = run_hook(script("sleep 1000 & echo done"), keys({}));
  EXPECT_EQ(outcome->verdict, Verdict::Passed);
  EXPECT_EQ(outcome->output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST_F(Hooks, SeesOnlyTheEnvironmentItWasGiven) {
  ::setenv("HAILSTONE_TEST_SECRET", "s3cret", 1);
  HookCommand command = script("pwd; echo $VOLUME; env | sort");
  command.environment = {{"VOLUME", "debian main; rm -rf /"}, {"LANG", "de_DE.UTF-8"}};
  const auto outcome = run_hook(command, keys({}));
  EXPECT_TRUE(outcome->output.starts_with(directory_ + "\ndebian main; rm -rf /\n")) << outcome->output;
  EXPECT_EQ(outcome->output.find("s3cret"), Bytes::npos);
  EXPECT_NE(outcome->output.find("LANG=de_DE.UTF-8\n"), Bytes::npos);
  EXPECT_EQ(outcome->output.find("C.UTF-8"), Bytes::npos);
  EXPECT_NE(outcome->output.find("PATH=/usr/local/bin:/usr/bin:/bin\n"), Bytes::npos);
}

TEST_F(Hooks, InheritsNoDescriptorsAndNoIgnoredSignals) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto outcome =
      run_hook(script("for f in /proc/$$/fd/*; do echo ${f##*/}; done; grep SigIgn /proc/$$/status"), keys({}));
  ::signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(outcome.has_value());
  // 10 is the script itself, opened by sh; 3 the directory that it lists.
  EXPECT_TRUE(outcome->output.starts_with("0\n1\n10\n2\n3\nSigIgn:")) << outcome->output;
  const uint64_t ignored = std::stoull(outcome->output.substr(outcome->output.rfind('\t') + 1), nullptr, 16);
  EXPECT_EQ(ignored & 0x7fffffff, 0u);  // above: signals 32 and 33, which are the C library's own
}

TEST_F(Hooks, ErrorOfTheKeySourceStopsTheCommand) {
  const auto outcome = run_hook(script("cat; sleep 1000"), []() -> Result<std::optional<Bytes>> {
    return fail(Code::Corrupt, "node 12 is damaged");
  });
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error(), (Error{Code::Corrupt, "node 12 is damaged"}));
}

TEST_F(Hooks, SaysWhyACommandCannotStart) {
  HookCommand command{.argv = {directory_ + "/absent"}, .environment = {}};
  EXPECT_EQ(run_hook(command, keys({})).error().code, Code::Io);
  EXPECT_NE(run_hook(command, keys({})).error().message.find("/absent"), std::string::npos);
  for (const HookCommand& bad : {HookCommand{}, HookCommand{.argv = {"sh"}, .environment = {}},
                                 HookCommand{.argv = {"/bin/sh", std::string("a\0b", 3)}, .environment = {}},
                                 HookCommand{.argv = {"/bin/sh"}, .environment = {{"A=B", "c"}}}})
    EXPECT_EQ(run_hook(bad, keys({})).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::publish
