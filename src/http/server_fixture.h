// For tests only: a server on loopback with a handler of many habits, and a raw socket to torment it with.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "http/offload.h"
#include "http/server.h"

namespace hailstone::http {

inline constexpr auto kPatience = std::chrono::seconds(20);  // a failed test's, never a passing one's

/// Polls a condition until it holds; false after kPatience.
inline bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

class CapturingLogger final : public Logger {
 public:
  void log(Level level, std::string_view event, std::initializer_list<Field>) override {
    const std::scoped_lock lock(mutex_);
    if (level >= Level::Warn) events_.emplace_back(event);
  }
  bool enabled(Level level) const override { return level >= Level::Info; }
  bool saw(std::string_view event) const {
    const std::scoped_lock lock(mutex_);
    return std::ranges::find(events_, event) != events_.end();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> events_;
};

/// What the handler and the test share.
struct Stage {
  std::atomic<bool> gate{false};  // /gated answers once it is open
  std::atomic<int> waiting{0};    // requests before the gate
  std::atomic<int> body_failures{0};
  Bytes content;  // of the file
  std::shared_ptr<FILE> file;
  FileSpan span(uint64_t offset, uint64_t length) const { return {file, ::fileno(file.get()), offset, length}; }

  explicit Stage(size_t file_bytes = 9u << 20) {
    content.resize(file_bytes);
    uint32_t x = 1;
    for (char& c : content) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    file.reset(::tmpfile(), &::fclose);
    if (::write(::fileno(file.get()), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      throw std::runtime_error("no room for the test's file");
  }
};

class PartsSource final : public BodySource {
 public:
  explicit PartsSource(std::vector<Part> parts, bool fails = false) : parts_(std::move(parts)), fails_(fails) {}
  Task<Result<std::optional<Part>>> next() override {
    if (at_ < parts_.size()) co_return std::move(parts_[at_++]);
    if (fails_) co_return fail(Code::Io, "disk is gone");
    co_return std::optional<Part>();
  }

 private:
  std::vector<Part> parts_;
  size_t at_ = 0;
  bool fails_;
};

class TestHandler final : public Handler {
 public:
  explicit TestHandler(Stage& stage) : stage_(stage) {}

  Task<Response> handle(Request request) override {
    const std::string_view path = request.head.path;
    Response r;
    if (path == "/echo") {
      Result<Bytes> body = co_await read_all(request.body, 16u << 20);
      if (!body) {
        ++stage_.body_failures;
        const int status = body.error().code == Code::Timeout ? 408 : 400;
        co_return Response::text(status, body.error().message);
      }
      co_return Response::text(200, std::move(*body));
    }
    if (path == "/gated") {
      ++stage_.waiting;
      while (!stage_.gate) co_await pause_for(std::chrono::milliseconds(1));
      --stage_.waiting;
      co_return Response::text(200, "through");
    }
    if (path == "/file") {
      const uint64_t offset = number(request, "offset", 0);
      r.body = Part(stage_.span(offset, number(request, "length", stage_.content.size() - offset)));
      co_return r;
    }
    if (path == "/pages") {
      const uint64_t offset = number(request, "offset", 0);
      const ByteView all = stage_.content;
      r.body = Part(PageSpan{nullptr, all.substr(offset, number(request, "length", all.size() - offset))});
      co_return r;
    }
    if (path == "/shared") {
      static const auto kBytes = std::make_shared<const Bytes>(100'000, 's');
      r.body = Part(SharedSpan{kBytes, 10, number(request, "length", 5)});
      co_return r;
    }
    if (path == "/parts" || path == "/cut" || path == "/known" || path == "/lies") {
      std::vector<Part> parts;
      parts.emplace_back(Bytes("one,"));
      parts.emplace_back(Bytes());
      parts.emplace_back(SharedSpan{std::make_shared<const Bytes>("xxtwo,xx"), 2, 4});
      parts.emplace_back(stage_.span(5, 3));
      parts.emplace_back(stage_.span(0, 100'000));
      r.body = std::make_unique<PartsSource>(std::move(parts), path == "/cut");
      if (path == "/known") r.content_length = 100'011;
      if (path == "/lies") r.content_length = 100'012;
      co_return r;
    }
    if (path == "/throw") throw std::runtime_error("handler broke");
    if (path == "/throw-int") throw 7;
    if (path == "/close") {
      r = Response::text(200, "bye");
      r.close = true;
      co_return r;
    }
    if (path == "/status") {
      r.status = static_cast<int>(number(request, "code", 200));
      co_return r;
    }
    if (path == "/promise") {
      r.content_length = 12345;
      co_return r;
    }
    if (path == "/missing-bytes") {
      r.body = Part(stage_.span(stage_.content.size() - 5, number(request, "length", 10)));
      co_return r;
    }
    co_return Response::text(200, "hello " + Bytes(request.head.target) + " from " +
                                      (request.secure ? "afar" : Bytes(request.peer.substr(0, 9))));
  }

 private:
  static uint64_t number(const Request& request, std::string_view name, uint64_t otherwise) {
    const auto text = request.head.parameter(name);
    return text ? std::stoull(*text) : otherwise;
  }
  Stage& stage_;
};

struct TestServer {
  explicit TestServer(ServerOptions options = {}) {
    if (options.threads == 0) options.threads = 1;
    auto made = Server::listen(options, [this](unsigned) { return std::make_unique<TestHandler>(stage); }, logger);
    if (!made) throw std::runtime_error(made.error().message);
    server = std::move(*made);
    server->start();
  }
  ~TestServer() { stage.gate = true; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()); }

  Stage stage;
  CapturingLogger logger;
  std::unique_ptr<Server> server;
};

/// A blocking socket whose reads end after kPatience.
class RawSocket {
 public:
  explicit RawSocket(uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("connect");
  }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  ~RawSocket() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

  /// False once the server has closed.
  bool send(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  /// Receives until `enough(all so far)`, the end of the stream or kPatience. Returns all and forgets it.
  std::string receive_until(const std::function<bool(const std::string&)>& enough) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    ended_ = reset_ = false;
    while (!enough(in_)) {
      pollfd p{fd_, POLLIN, 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0 || ::poll(&p, 1, static_cast<int>(left.count())) <= 0) {
        ADD_FAILURE() << "nothing more within patience; so far: " << printable(in_);
        break;
      }
      char buffer[64 << 10];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) {
        (n == 0 ? ended_ : reset_) = true;
        break;
      }
      in_.append(buffer, static_cast<size_t>(n));
    }
    return std::exchange(in_, {});
  }
  std::string receive_all() {
    return receive_until([](const std::string&) { return false; });
  }
  std::string receive_until_text(std::string_view text) {
    return receive_until([text](const std::string& s) { return s.find(text) != std::string::npos; });
  }
  std::string exchange(ByteView request, std::string_view until) {
    EXPECT_TRUE(send(request));
    return receive_until_text(until);
  }
  bool ended() const { return ended_; }  // by an orderly close
  bool was_reset() const { return reset_; }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string in_;
  bool ended_ = false, reset_ = false;
};

inline std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

inline size_t occurrences(std::string_view text, std::string_view what) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++count;
  return count;
}

}  // namespace hailstone::http
