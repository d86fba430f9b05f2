// For tests only: a blocking socket that does what it is told, with a deadline on everything.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "net/frame.h"
#include "net/testing.h"

namespace hailstone::net {

class Raw {
 public:
  explicit Raw(int fd) : fd_(fd) {
    const timeval patience{std::chrono::seconds(kPatience).count(), 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  Raw(Raw&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Raw() {
    if (fd_ >= 0) ::close(fd_);
  }
  static Raw dial(uint16_t port) {
    Raw raw(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in to = address(port);
    EXPECT_EQ(::connect(raw.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return raw;
  }
  static Raw listen(uint16_t& port, int receive_bytes = 0) {
    Raw raw(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_bytes > 0) ::setsockopt(raw.fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    sockaddr_in at = address(0);
    socklen_t length = sizeof at;
    EXPECT_EQ(::bind(raw.fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(raw.fd_, 16), 0);
    ::getsockname(raw.fd_, reinterpret_cast<sockaddr*>(&at), &length);
    port = ntohs(at.sin_port);
    return raw;
  }
  Raw accept() { return Raw(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }
  void send(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // closed: the test sees that elsewhere
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  /// What comes until the other side closes; "timeout" when it does not.
  Bytes receive_all() {
    Bytes out;
    char room[4096];
    while (true) {
      const ssize_t count = ::recv(fd_, room, sizeof room, 0);
      if (count > 0) {
        out.append(room, static_cast<size_t>(count));
      } else {
        return count < 0 && errno == EAGAIN ? "timeout" : out;
      }
    }
  }
  /// What there is.
  Bytes receive_some(size_t bytes_max = 1u << 20) {
    Bytes out(bytes_max, '\0');
    const ssize_t count = ::recv(fd_, out.data(), out.size(), MSG_DONTWAIT);
    out.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return out;
  }
  char receive_byte() {
    char byte = 0;
    EXPECT_EQ(::recv(fd_, &byte, 1, 0), 1);
    return byte;
  }
  /// Until the other end's kernel has acknowledged all that was sent.
  void wait_taken() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    int left = 1;
    while (::ioctl(fd_, SIOCOUTQ, &left) == 0 && left > 0) ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
  Hello receive_hello() {
    Bytes bytes;
    Hello hello;
    char byte = 0;
    while (::recv(fd_, &byte, 1, 0) == 1) {
      bytes.push_back(byte);
      const auto length = read_hello(bytes, hello);
      if (!length || *length > 0) break;
    }
    return hello;
  }

 private:
  static sockaddr_in address(uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    out.sin_port = htons(port);
    return out;
  }
  int fd_;
};

}  // namespace hailstone::net
