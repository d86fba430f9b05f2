// demo cell: a three-node cell on loopback, for trying things out.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>

#include "cli/context.h"
#include "cli/exit_codes.h"

extern char** environ;

namespace hailstone::cli {
namespace {

constexpr int kNodes = 3;

struct DemoArguments {
  std::string directory = "hailstone-demo";
  uint16_t port = 8200;
};

/// A node's processes; ended with this object.
class Child {
 public:
  static Result<Child> start(const std::vector<std::string>& words, const std::string& log) {
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    // In a group of its own, so that an interrupt from the terminal comes once, from here; with no signal blocked.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return fail(Code::Io, fmt::format("cannot start a node: {}", std::strerror(error)));
    return Child(pid);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ == 0) return;
    terminate();
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  void terminate() const { ::kill(pid_, SIGTERM); }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

Result<int> run_demo(Context& context, const DemoArguments& arguments) {
  std::error_code error;
  std::filesystem::create_directories(arguments.directory, error);
  if (error) return fail(Code::Io, fmt::format("{}: {}", arguments.directory, error.message()));
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);

  const auto port = [&](int node, int which) { return arguments.port + 10 * node + which; };
  std::string members, endpoints;
  for (int node = 1; node <= kNodes; ++node) {
    members += fmt::format("{}'{}=127.0.0.1:{}'", node > 1 ? ", " : "", node, port(node, 3));
    endpoints += fmt::format("{}127.0.0.1:{}", node > 1 ? "," : "", port(node, 2));
  }
  std::vector<Child> nodes;
  for (int node = 1; node <= kNodes; ++node) {
    const std::string base = fmt::format("{}/node-{}", arguments.directory, node);
    TRY(auto child,
        Child::start(
            {"hailstone", "serve", "--data", base, "--listen", fmt::format("127.0.0.1:{}", port(node, 0)), "--set",
             fmt::format("s3.port={}", port(node, 1)), "--set", fmt::format("cell.id={}", node), "--set",
             fmt::format("cell.port={}", port(node, 2)), "--set", fmt::format("cell.member_port={}", port(node, 3)),
             "--set", fmt::format("cell.members=[{}]", members)},
            base + ".log"));
    nodes.push_back(std::move(child));
  }
  context.out() << fmt::format(
      "A cell of {} nodes; data and logs in {}. Ctrl-C stops it, the same command starts it again.\n\n"
      "  export HAILSTONE_CELL={}\n  hailstone cell status\n\n",
      kNodes, arguments.directory, endpoints);
  for (int node = 1; node <= kNodes; ++node)
    context.out() << fmt::format("  node {}: process {}, log {}/node-{}.log\n", node, nodes[node - 1].pid(),
                                 arguments.directory, node);
  context.out() << std::flush;

  for (;;) {
    int signal = 0;
    ::sigwait(&signals, &signal);
    if (signal != SIGCHLD) break;
    for (int node = 1; node <= kNodes; ++node) {
      int status = 0;
      if (::waitpid(nodes[node - 1].pid(), &status, WNOHANG) <= 0) continue;
      return fail(Code::Io, fmt::format("node {} has ended: see {}/node-{}.log", node, arguments.directory, node));
    }
  }
  for (const Child& node : nodes) node.terminate();
  return kExitOk;
}

}  // namespace

void add_demo_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* demo = app.add_subcommand("demo", "Run something small on this machine, to try things out");
  demo->require_subcommand(1);
  auto* cell = demo->add_subcommand("cell", "Run a cell of three nodes on loopback until interrupted");
  const auto arguments = std::make_shared<DemoArguments>();
  cell->add_option("--dir", arguments->directory, "Directory of the nodes' data and logs")
      ->type_name("DIR")
      ->capture_default_str();
  cell->add_option("--port", arguments->port, "The first of 34 ports")
      ->capture_default_str()
      ->check(CLI::Range(1024, 65500));
  commands.choose_when_parsed(cell, [&context, arguments] { return run_demo(context, *arguments); });
}

}  // namespace hailstone::cli
