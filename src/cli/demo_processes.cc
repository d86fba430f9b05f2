#include "cli/demo_processes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>

extern char** environ;

namespace hailstone::cli {
namespace {

sigset_t demo_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

bool is_free(uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int reuse = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const bool free = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return free;
}

}  // namespace

void block_demo_signals() {
  const sigset_t signals = demo_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int wait_for_signal() {
  const sigset_t signals = demo_signals();
  int signal = 0;
  ::sigwait(&signals, &signal);
  return signal;
}

Result<Child> Child::start(const std::string& program, const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Code::Io, fmt::format("cannot start {}: {}", words.front(), std::strerror(error)));
  return Child(pid);
}

Child::~Child() {
  if (pid_ == 0) return;
  terminate();
  ::waitpid(pid_, nullptr, 0);
}

void Child::terminate() const {
  if (pid_ != 0) ::kill(pid_, SIGTERM);
}

bool Child::ended() {
  if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ == 0;
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string places = (path ? std::string(path) + ":" : std::string()) + "/usr/sbin:/usr/local/sbin:";
  for (size_t at = 0, end = 0; (end = places.find(':', at)) != places.npos; at = end + 1) {
    const std::string file = places.substr(at, end - at) + "/" + name;
    if (end > at && ::access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

Result<uint16_t> find_free_ports(uint16_t count) {
  std::random_device random;
  constexpr int kFirst = 20'000, kLast = 32'000, kAttempts = 100;  // below those that the kernel gives to clients
  for (int i = 0; i < kAttempts; ++i) {
    const auto base = static_cast<uint16_t>(kFirst + random() % (kLast - kFirst));
    bool free = true;
    for (uint16_t at = 0; free && at < count; ++at) free = is_free(static_cast<uint16_t>(base + at));
    if (free) return base;
  }
  return fail(Code::Exhausted, fmt::format("no {} free ports in a row were found: name the first (--port)", count));
}

}  // namespace hailstone::cli
