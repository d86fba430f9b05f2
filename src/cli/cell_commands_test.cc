// The program itself against a cell in memory: what it prints of names, and a lock whose command is interrupted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "cli/exit_codes.h"
#include "client/blocking_client.h"
#include "client/testing.h"

namespace hailstone::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr client::Within kSoon{120'000};  // a failed test's wait, never a passing one's

/// `hailstone cell WORDS`, with what it says.
class Program {
 public:
  Program(const std::string& address, std::vector<std::string> words) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    words.insert(words.begin(), {HAILSTONE_PROGRAM, "cell", "--cell", address});
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {  // only what may be called between fork and exec
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Program() { ::close(out_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string line() {
    std::string text;
    for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  std::string rest() {
    std::string text;
    for (char c = 0; ::read(out_, &c, 1) == 1;) text += c;
    return text;
  }
  void signal(int number) const { ::kill(pid_, number); }
  int exit_code() const {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

class CellCommands : public testing::Test {
 protected:
  ~CellCommands() override {
    client_.reset();
    loop_.stop();
    thread_.join();
  }
  int run(std::vector<std::string> words) { return Program(address_, std::move(words)).exit_code(); }
  client::BlockingClient& client() {
    if (client_) return *client_;
    client::Options options;
    options.cell = net::CellAddress::parse(address_).value();
    client_ = client::BlockingClient::make(std::move(options)).value();
    EXPECT_TRUE(client_->open(kSoon));
    return *client_;
  }
  bool is_free(const Bytes& path) {
    const bool locked = client().lock(path, {.wait = cell::Lock::Wait::Try}, kSoon).has_value();
    if (locked) EXPECT_TRUE(client().unlock(path, kSoon));
    return locked;
  }
  bool is_waited_for(const Bytes& path) {
    using cell::wire::Ask;
    const auto answered = client().ask(Ask::View::Linearizable, cell::wire::GetLock{path}, kSoon);
    return answered && !std::get<cell::LockRecord>(answered->answer).waiters.empty();
  }

  net::asio::io_context loop_{1};
  client::TestMember member_{loop_};
  const std::string address_ = member_.address();
  std::thread thread_{[this] { loop_.run(); }};
  std::unique_ptr<client::BlockingClient> client_;
};

TEST_F(CellCommands, NamesDoNotSpeakToTheTerminal) {
  ASSERT_EQ(run({"put", "/a/\x1b[31mred", "1"}), kExitOk);
  Program list(address_, {"ls", "/a"});
  EXPECT_THAT(list.rest(), AllOf(HasSubstr("\\x1b[31mred"), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(list.exit_code(), kExitOk);
}

TEST_F(CellCommands, ASignalReachesTheCommandAndItsEndReleasesTheLock) {
  const std::string script = "trap 'echo heard; exit 7' TERM; echo $HAILSTONE_SEQUENCER; while :; do sleep 0.05; done";
  Program lock(address_, {"lock", "/l", "--", "sh", "-c", script});
  EXPECT_THAT(lock.line(), HasSubstr("exclusive:"));
  EXPECT_FALSE(is_free("/l"));
  lock.signal(SIGTERM);
  EXPECT_EQ(lock.line(), "heard");
  EXPECT_EQ(lock.exit_code(), 7);
  EXPECT_TRUE(is_free("/l"));
}

TEST_F(CellCommands, ACommandThatASignalEndsSaysWhich) {
  Program lock(address_, {"lock", "/l", "--", "sh", "-c", "echo runs; exec sleep 1000"});
  EXPECT_EQ(lock.line(), "runs");
  lock.signal(SIGINT);
  EXPECT_EQ(lock.exit_code(), 128 + SIGINT);
  EXPECT_TRUE(is_free("/l"));
}

TEST_F(CellCommands, AWaitForALockCanBeInterrupted) {
  Program holder(address_, {"lock", "/l", "--", "sh", "-c", "echo runs; exec sleep 1000"});
  EXPECT_EQ(holder.line(), "runs");
  {
    Program waiter(address_, {"lock", "/l", "--", "true"});
    while (!is_waited_for("/l") && !HasFailure()) {
    }
    waiter.signal(SIGTERM);
    EXPECT_EQ(waiter.exit_code(), 128 + SIGTERM);
  }
  holder.signal(SIGTERM);
  EXPECT_EQ(holder.exit_code(), 128 + SIGTERM);
  EXPECT_TRUE(is_free("/l")) << "the waiter left no place in the queue";
}

}  // namespace
}  // namespace hailstone::cli
