// For tests only: Debian's dnsmasq, serving what a test says.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "net/discover.h"
#include "net/testing.h"

namespace hailstone::net {

/// Serves nothing but the records it was given, on a port of loopback.
class Dnsmasq {
 public:
  static constexpr const char* kProgram = "/usr/sbin/dnsmasq";
  static bool is_installed() { return std::filesystem::exists(kProgram); }

  explicit Dnsmasq(std::vector<std::string> records) : records_(std::move(records)) { start(); }
  ~Dnsmasq() { end(); }
  Dnsmasq(const Dnsmasq&) = delete;
  Dnsmasq& operator=(const Dnsmasq&) = delete;

  HostPort at() const { return {"127.0.0.1", port_}; }
  /// Asks until it is up; elsewhere when somebody else was faster to take the port.
  Result<std::vector<SrvRecord>> ask(const std::string& domain, const std::vector<HostPort>& before = {}) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      std::vector<HostPort> servers = before;
      servers.push_back(at());
      auto found = look_up_srv(domain, {.servers = servers, .timeout_s = 1});
      const bool answered = found || found.error().code == Code::NotFound;
      if (answered || std::chrono::steady_clock::now() > end) return found;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) start();
    }
  }

 private:
  void start() {
    port_ = free_port();
    std::vector<std::string> arguments = {
        kProgram,     "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
        "--no-hosts", "--pid-file",           "--bind-interfaces",     "--listen-address=127.0.0.1",
        "--user=",    "--log-facility=-",     "--local=/test/",        "--port=" + std::to_string(port_)};
    for (const std::string& each : records_) arguments.push_back("--srv-host=" + each);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {0, 1, 2}) ::dup2(nowhere, fd);
    ::execv(kProgram, pointers.data());
    ::_exit(127);
  }
  void end() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  /// Of UDP and of TCP.
  static uint16_t free_port() {
    sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t length = sizeof at;
    for (bool found = false; !found;) {
      const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      at.sin_port = 0;
      ::bind(udp, reinterpret_cast<const sockaddr*>(&at), sizeof at);
      ::getsockname(udp, reinterpret_cast<sockaddr*>(&at), &length);
      found = ::bind(tcp, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
      ::close(udp);
      ::close(tcp);
    }
    return ntohs(at.sin_port);
  }
  const std::vector<std::string> records_;
  uint16_t port_ = 0;
  pid_t pid_ = 0;
};

}  // namespace hailstone::net
