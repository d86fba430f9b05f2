#include "publish/hooks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace hailstone::publish {
namespace {

using Moment = std::chrono::steady_clock::time_point;
constexpr size_t kInputBufferBytes = 64u << 10;
constexpr size_t kMessageBytesMax = 2000;

std::unexpected<Error> kernel_failed(std::string_view what, int error) {
  return fail(Code::Io, fmt::format("{}: {}", what, std::strerror(error)));
}

/// Closes what it owns.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read, write;
  Result<void> make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return kernel_failed("pipe for a hook", errno);
    read.reset(ends[0]);
    write.reset(ends[1]);
    return {};
  }
};

/// Keeps SIGPIPE from this thread while a command's standard input is written, and takes away one that came.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{};
    if (sigismember(&before_, SIGPIPE) == 0)
      while (sigtimedwait(&pipe_, nullptr, &now) == -1 && errno == EINTR) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
};

class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<std::string> environment_of(const HookCommand& command) {
  std::vector<std::pair<std::string, std::string>> variables = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                                                                {"LANG", "C.UTF-8"}};
  for (const auto& [name, value] : command.environment) {
    std::erase_if(variables, [&](const auto& variable) { return variable.first == name; });
    variables.emplace_back(name, value);
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

Result<pid_t> spawn(const HookCommand& command, int input, int output) {
  SpawnSetup setup;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_addchdir_np(&setup.actions, command.working_directory.c_str());
  posix_spawn_file_actions_adddup2(&setup.actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&setup.actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&setup.actions, output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, STDERR_FILENO + 1);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);
  posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> arguments = command.argv;
  std::vector<std::string> environment = environment_of(command);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, command.argv[0].c_str(), &setup.actions, &setup.attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  if (error != 0)
    return kernel_failed(fmt::format("hook {} can't be started in {}", command.argv[0], command.working_directory),
                         error);
  return pid;
}

/// One running command. Destroying it kills the process group and reaps the leader, in that order: until it is reaped,
/// the group's number can't be somebody else's.
class Process {
 public:
  Process(pid_t pid, int pidfd) : pid_(pid), exit_(pidfd) {}
  ~Process() { finish(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int exit_event() const { return exit_.get(); }
  /// The leader's wait status.
  int finish() {
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      while (::waitpid(pid_, &status_, 0) == -1 && errno == EINTR) {
      }
      pid_ = -1;
    }
    return status_;
  }

 private:
  pid_t pid_;
  int status_ = 0;
  Descriptor exit_;
};

/// Moves keys into the command and output out of it until the command exits or the deadline passes.
class Exchange {
 public:
  Exchange(const KeySource& next_key, Descriptor& input, Descriptor& output, int exit_event)
      : next_key_(next_key), input_(input), output_(output), exit_event_(exit_event) {
    for (const Descriptor* end : {&input, &output}) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  }

  enum class End : uint8_t { Exited, TimedOut };
  Result<End> run(Moment deadline) {
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      if (left <= 0) return End::TimedOut;
      std::array<pollfd, 3> events = {pollfd{exit_event_, POLLIN, 0}, pollfd{input_.get(), POLLOUT, 0},
                                      pollfd{output_.get(), POLLIN, 0}};  // a closed one is -1, which poll skips
      if (::poll(events.data(), events.size(), static_cast<int>(std::min<int64_t>(left, 60'000))) < 0 && errno != EINTR)
        return kernel_failed("waiting for a hook", errno);
      if (events[1].revents != 0) TRY_DO(feed());
      if (events[2].revents != 0) drain();
      if (events[0].revents != 0) {
        drain();  // what it wrote last
        return End::Exited;
      }
    }
  }

  void drain() {
    std::array<char, 16u << 10> buffer;
    // Bounded, so that a child that writes for ever can't keep this from seeing the deadline.
    for (size_t rounds = 0; output_.open() && rounds < 64; ++rounds) {
      const ssize_t n = ::read(output_.get(), buffer.data(), buffer.size());
      if (n < 0) return;
      if (n == 0) return output_.reset();
      total_ += static_cast<uint64_t>(n);
      tail_.append(buffer.data(), static_cast<size_t>(n));
      if (tail_.size() > 2 * kHookOutputBytesMax) tail_.erase(0, tail_.size() - kHookOutputBytesMax);
    }
  }

  Bytes tail() const {
    return tail_.size() > kHookOutputBytesMax ? tail_.substr(tail_.size() - kHookOutputBytesMax) : tail_;
  }
  uint64_t total() const { return total_; }

 private:
  Result<void> feed() {
    while (pending_.size() < kInputBufferBytes && !exhausted_) {
      TRY(const auto key, next_key_());
      if (!key)
        exhausted_ = true;
      else
        pending_ += percent_encode_path(*key) + "\n";
    }
    if (!pending_.empty()) {
      const ssize_t n = ::write(input_.get(), pending_.data(), pending_.size());
      if (n > 0) pending_.erase(0, static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) {  // it reads no more: its exit code decides
        input_.reset();
        return {};
      }
    }
    if (pending_.empty() && exhausted_) input_.reset();
    return {};
  }

  const KeySource& next_key_;
  Descriptor& input_;
  Descriptor& output_;
  int exit_event_;
  Bytes pending_;
  bool exhausted_ = false;
  Bytes tail_;
  uint64_t total_ = 0;
};

std::string why(const HookCommand& command, Exchange::End end, int status, ByteView output) {
  std::string out = "hook " + command.argv[0];
  if (end == Exchange::End::TimedOut)
    out += fmt::format(" did not end within {} ms and was killed", command.timeout_ms);
  else if (WIFSIGNALED(status))
    out += fmt::format(" was killed by signal {}", WTERMSIG(status));
  else
    out += fmt::format(" refused with exit code {}", WEXITSTATUS(status));
  output = output.substr(0, output.find_last_not_of(" \t\r\n") + 1);
  if (output.size() > kMessageBytesMax) output.remove_prefix(output.size() - kMessageBytesMax);
  if (!output.empty()) out += ": " + Bytes(output);
  return out;
}

}  // namespace

Result<void> HookCommand::validate() const {
  if (argv.empty() || !argv[0].starts_with('/'))
    return fail(Code::Invalid, fmt::format("hook program \"{}\" is not an absolute path", argv.empty() ? "" : argv[0]));
  const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
  if (std::ranges::any_of(argv, has_nul) || has_nul(working_directory))
    return fail(Code::Invalid, fmt::format("hook {}: an argument or the working directory has a NUL byte", argv[0]));
  for (const auto& [name, value] : environment)
    if (name.empty() || name.find('=') != name.npos || has_nul(name) || has_nul(value))
      return fail(Code::Invalid, fmt::format("hook {}: bad environment variable \"{}\"", argv[0], printable(name)));
  if (timeout_ms == 0) return fail(Code::Invalid, fmt::format("hook {}: timeout_ms is 0", argv[0]));
  return {};
}

Result<HookOutcome> run_hook(const HookCommand& command, const KeySource& next_key) {
  TRY_DO(command.validate());
  const Moment deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(command.timeout_ms);
  Pipe input, output;
  TRY_DO(input.make());
  TRY_DO(output.make());
  NoSigpipe no_sigpipe;
  TRY(const pid_t pid, spawn(command, input.read.get(), output.write.get()));
  Process process(pid, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process.exit_event() < 0) return kernel_failed("pidfd_open of a hook", errno);
  input.read.reset();
  output.write.reset();

  Exchange exchange(next_key, input.write, output.read, process.exit_event());
  TRY(const Exchange::End end, exchange.run(deadline));
  const int status = process.finish();
  HookOutcome outcome;
  outcome.output = exchange.tail();
  outcome.output_bytes = exchange.total();
  if (end == Exchange::End::TimedOut)
    outcome.verdict = HookOutcome::Verdict::TimedOut;
  else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    outcome.verdict = HookOutcome::Verdict::Passed;
  if (outcome.verdict != HookOutcome::Verdict::Passed) outcome.message = why(command, end, status, outcome.output);
  return outcome;
}

}  // namespace hailstone::publish
