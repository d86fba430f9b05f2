// cell lock, elect: a command that runs while a lock is held.
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstring>
#include <future>
#include <variant>

#include "cli/cell_context.h"
#include "cli/exit_codes.h"

extern char** environ;

namespace hailstone::cli {
namespace {

struct LockArguments {
  std::string path, value;
  bool shared = false, try_only = false;
  double wait_s = 0;  // 0: as long as it takes
  uint32_t delay_ms = 15'000;
  double grace_s = 5;  // between SIGTERM and SIGKILL, when the lock is lost
  std::vector<std::string> words;
};

sigset_t interesting() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

/// A signal that asks this to end; 0: none came within `wait`.
int ending_signal(const timespec& wait) {
  sigset_t signals = interesting();
  sigdelset(&signals, SIGCHLD);
  return std::max(::sigtimedwait(&signals, nullptr, &wait), 0);
}

Result<pid_t> start(const std::vector<std::string>& words, const cell::Sequencer& sequencer) {
  std::vector<std::string> variables;
  for (char** each = environ; *each; ++each)
    if (!ByteView(*each).starts_with("HAILSTONE_SEQUENCER=") &&
        !ByteView(*each).starts_with("HAILSTONE_LOCK_GENERATION="))
      variables.emplace_back(*each);
  variables.push_back("HAILSTONE_SEQUENCER=" + text_of(sequencer));
  variables.push_back(fmt::format("HAILSTONE_LOCK_GENERATION={}", sequencer.generation.value));
  std::vector<char*> argv, envp;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, words[0].c_str(), nullptr, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(Code::NotFound, fmt::format("{}: {}", words[0], std::strerror(error)));
  return pid;
}

/// Runs until the command ends, or is made to since the lock may be lost. The exit code is the command's.
Result<int> run_while_held(Context& context, const LockArguments& arguments, const cell::Sequencer& sequencer,
                           const std::atomic<bool>& in_doubt) {
  if (in_doubt)
    return fail(Code::Unavailable, fmt::format("lock {} may be lost: nothing was run", printable(sequencer.path)));
  TRY(const pid_t pid, start(arguments.words, sequencer));
  const sigset_t signals = interesting();
  const timespec tick{.tv_sec = 0, .tv_nsec = 50'000'000};
  double ending_s = -1;
  while (true) {
    siginfo_t info{};
    const int signal = ::sigtimedwait(&signals, &info, &tick);
    // The terminal's go to the command, too, without our help.
    if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL) ::kill(pid, signal);
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      if (ending_s >= 0)
        return fail(Code::Unavailable,
                    fmt::format("lock {} may be lost: the command was ended", printable(sequencer.path)));
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (!in_doubt) continue;
    if (ending_s < 0) {
      context.note(fmt::format("lock {} may be lost: ending the command", printable(sequencer.path)));
      ::kill(pid, SIGTERM);
      ending_s = 0;
    } else if ((ending_s += 0.05) > arguments.grace_s) {
      ::kill(pid, SIGKILL);
    }
  }
}

/// What waits for the lock gives it, or the exit code of a signal that came first: then it is not held, or goes with
/// the session.
Result<std::variant<cell::Sequencer, int>> wait_for_lock(client::BlockingClient& client, const CellOptions& options,
                                                         const LockArguments& arguments) {
  client::LockOptions how;
  how.mode = arguments.shared ? cell::LockMode::Shared : cell::LockMode::Exclusive;
  how.wait = arguments.try_only ? cell::Lock::Wait::Try : cell::Lock::Wait::Queue;
  how.delay_ms = arguments.delay_ms;
  const double patience_s = arguments.try_only ? options.timeout_s : arguments.wait_s;
  const bool endless = patience_s == 0;
  while (true) {
    // On a thread of its own: the place in the queue lasts as long as the call, and an interrupt must be heard
    // meanwhile.
    auto waiting = std::async(std::launch::async, [&] {
      return client.lock(arguments.path, how, {.ms = endless ? 3600'000 : static_cast<int64_t>(patience_s * 1000)});
    });
    while (waiting.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
      const int signal = ending_signal({.tv_sec = 0, .tv_nsec = 0});
      if (signal == 0) continue;
      const sigset_t again = interesting();
      ::pthread_sigmask(SIG_UNBLOCK, &again, nullptr);    // a second one ends this at once
      static_cast<void>(client.close(options.within()));  // ends the wait, too
      waiting.wait();
      return 128 + signal;
    }
    const auto locked = waiting.get();
    if (locked) return *locked;
    if (!endless || locked.error().error.code != Code::Timeout || !client.session())
      return std::unexpected(error_of(locked.error()));
  }
}

Result<int> while_held(Context& context, client::BlockingClient& client, const CellOptions& options,
                       const LockArguments& arguments, const cell::Sequencer& sequencer,
                       const std::atomic<bool>& in_doubt) {
  if (!arguments.value.empty()) {
    TRY_DO(
        result_of(client.put(arguments.path, arguments.value, {.life = cell::Put::Life::Ephemeral}, options.within())));
    context.note(fmt::format("elected: {}", printable(text_of(sequencer))));
  }
  if (arguments.words.empty()) {
    context.out() << (context.json ? line_of(json_of(sequencer)) : text_of(sequencer)) << std::endl;
    while (!in_doubt && ending_signal({.tv_sec = 0, .tv_nsec = 50'000'000}) == 0) {
    }
    if (in_doubt) return fail(Code::Unavailable, fmt::format("lock {} may be lost", printable(arguments.path)));
    return kExitOk;
  }
  return run_while_held(context, arguments, sequencer, in_doubt);
}

Result<int> with_lock(Context& context, const CellOptions& options, const LockArguments& arguments) {
  const sigset_t signals = interesting();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the client's thread is there, which would take them
  std::atomic<bool> in_doubt = false;
  using Change = client::core::SessionChanged::Change;
  TRY(const auto client,
      connect_cell(context, options, Session::Open, [&](const client::core::SessionChanged& changed) {
        if (changed.change == Change::Jeopardy || changed.change == Change::Expired) in_doubt = true;
        if (changed.change == Change::Safe) in_doubt = false;
      }));
  const auto locked = wait_for_lock(*client, options, arguments);
  Result<int> exit = kExitOk;
  if (!locked)
    exit = std::unexpected(locked.error());
  else if (const int* interrupted = std::get_if<int>(&*locked))
    exit = *interrupted;
  else
    exit = while_held(context, *client, options, arguments, std::get<cell::Sequencer>(*locked), in_doubt);
  // However it went: otherwise the lock, or the place in its queue, would stay until the lease ends.
  if (client->session()) static_cast<void>(client->close(options.within()));
  return exit;
}

}  // namespace

void add_cell_lock_commands(CLI::App& cell, Commands& commands, const std::shared_ptr<CellOptions>& options) {
  Context& context = commands.context;
  const auto add = [&](const char* name, const char* what) {
    auto* command = cell.add_subcommand(name, what);
    const auto arguments = std::make_shared<LockArguments>();
    command->add_option("PATH", arguments->path, "The lock's, whether there is a file or not")->required();
    command->add_option("--wait", arguments->wait_s, "Give up after so many seconds; 0: never")->capture_default_str();
    command->add_option("--delay-ms", arguments->delay_ms, "How long nobody gets it after this has died holding it")
        ->capture_default_str();
    command->add_option("--grace", arguments->grace_s, "Seconds between SIGTERM and SIGKILL when it is lost")
        ->capture_default_str();
    commands.choose_when_parsed(command,
                                [&context, options, arguments] { return with_lock(context, *options, *arguments); });
    return std::pair(command, arguments);
  };
  auto [lock, locking] = add("lock", "Run a command while holding a lock; without one, hold it until interrupted");
  lock->add_flag("--shared", locking->shared, "Others may hold it shared at the same time");
  lock->add_flag("--try", locking->try_only, "Fail at once if somebody else has it");
  lock->add_option("COMMAND", locking->words,
                   "And its arguments; its environment has HAILSTONE_SEQUENCER and HAILSTONE_LOCK_GENERATION");
  lock->footer(
      "When the session is in jeopardy the lock may be lost, and the command is ended. Its exit code is this one's.");
  auto [elect, electing] =
      add("elect", "Wait to be elected, say so in the file PATH, and run a command while it lasts");
  elect->add_option("VALUE", electing->value, "What the file says of the elected, for instance its address")
      ->required();
  elect->add_option("COMMAND", electing->words, "And its arguments; without one, stay elected until interrupted");
}

}  // namespace hailstone::cli
