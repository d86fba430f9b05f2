#include "http/wire.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hailstone::http {
namespace {

std::string error_text(int error) { return std::strerror(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// 0 on timeout, else poll's revents.
int wait_for(int fd, short events, int timeout_ms) {
  pollfd p{fd, events, 0};
  while (true) {
    const int count = ::poll(&p, 1, timeout_ms);
    if (count < 0 && errno == EINTR) continue;
    return count > 0 ? p.revents : 0;
  }
}

Error stalled(const std::string& peer, uint32_t timeout_ms) {
  return {Code::Timeout, peer + ": no progress in " + std::to_string(timeout_ms) + " ms"};
}

class PlainWire final : public Wire {
 public:
  PlainWire(Descriptor fd, std::string peer, uint32_t stall_ms)
      : fd_(std::move(fd)), peer_(std::move(peer)), stall_ms_(stall_ms) {}

  Result<bool> send(ByteView bytes, OnInput on_input) override {
    while (!bytes.empty()) {
      if (on_input == OnInput::Stop && readable()) return false;
      const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<size_t>(count));
      } else if (errno == EAGAIN) {
        const short events = static_cast<short>(on_input == OnInput::Stop ? POLLOUT | POLLIN : POLLOUT);
        if (wait_for(fd_.get(), events, static_cast<int>(stall_ms_)) == 0)
          return std::unexpected(stalled(peer_, stall_ms_));
      } else if (errno != EINTR) {
        return fail(Code::Unavailable, "sending to " + peer_ + ": " + error_text(errno));
      }
    }
    return true;
  }

  Result<size_t> receive(char* out, size_t size) override {
    while (true) {
      const ssize_t count = ::recv(fd_.get(), out, size, 0);
      if (count >= 0) return static_cast<size_t>(count);
      if (errno == EAGAIN) {
        if (wait_for(fd_.get(), POLLIN, static_cast<int>(stall_ms_)) == 0)
          return std::unexpected(stalled(peer_, stall_ms_));
      } else if (errno != EINTR) {
        return fail(Code::Unavailable, "receiving from " + peer_ + ": " + error_text(errno));
      }
    }
  }

  bool readable() override { return wait_for(fd_.get(), POLLIN, 0) != 0; }

 private:
  Descriptor fd_;
  const std::string peer_;
  const uint32_t stall_ms_;
};

std::string tls_text() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "connection closed";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

struct TlsFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

class TlsWire final : public Wire {
 public:
  TlsWire(Descriptor fd, std::string peer, uint32_t stall_ms)
      : fd_(std::move(fd)), peer_(std::move(peer)), stall_ms_(stall_ms) {}
  ~TlsWire() override {
    if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  }

  Result<void> handshake(const BaseUrl& to, const WireOptions& options) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (context_ == nullptr) return fail(Code::Io, "TLS: " + tls_text());
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!options.ca_file.empty()) {
      if (SSL_CTX_load_verify_file(context_.get(), options.ca_file.c_str()) != 1)
        return fail(Code::Invalid, "CA file " + options.ca_file + ": " + tls_text());
    } else {
      SSL_CTX_set_default_verify_paths(context_.get());
    }
    ssl_.reset(SSL_new(context_.get()));
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), fd_.get()) != 1) return fail(Code::Io, "TLS: " + tls_text());
    if (options.verify_peer) {
      SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, nullptr);
      X509_VERIFY_PARAM* param = SSL_get0_param(ssl_.get());
      if (X509_VERIFY_PARAM_set1_ip_asc(param, to.host.c_str()) != 1) SSL_set1_host(ssl_.get(), to.host.c_str());
    }
    if (to.host.find_first_not_of("0123456789.:") != std::string::npos)
      SSL_set_tlsext_host_name(ssl_.get(), to.host.c_str());
    constexpr unsigned char kAlpn[] = "\x08http/1.1";
    SSL_set_alpn_protos(ssl_.get(), kAlpn, sizeof kAlpn - 1);
    while (true) {
      ERR_clear_error();
      const int done = SSL_connect(ssl_.get());
      if (done == 1) return {};
      const Result<bool> again = wait(done, OnInput::KeepSending, options.connect_timeout_ms);
      if (again) continue;
      const long verdict = SSL_get_verify_result(ssl_.get());
      if (verdict != X509_V_OK)
        return fail(Code::Denied, "certificate of " + peer_ + ": " + X509_verify_cert_error_string(verdict));
      return fail(Code::Unavailable, "TLS handshake with " + peer_ + ": " + again.error().message);
    }
  }

  Result<bool> send(ByteView bytes, OnInput on_input) override {
    while (!bytes.empty()) {
      if (on_input == OnInput::Stop && readable()) return false;
      ERR_clear_error();
      size_t count = 0;
      const int done = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
      if (done == 1) {
        bytes.remove_prefix(count);
      } else if (auto again = wait(done, on_input, stall_ms_); !again) {
        return std::unexpected(std::move(again).error());
      }
    }
    return true;
  }

  Result<size_t> receive(char* out, size_t size) override {
    while (true) {
      ERR_clear_error();
      size_t count = 0;
      const int done = SSL_read_ex(ssl_.get(), out, size, &count);
      if (done == 1) return count;
      if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_ZERO_RETURN) return size_t{0};
      TRY_DO(wait(done, OnInput::KeepSending, stall_ms_));
    }
  }

  // Session tickets and key updates make the socket readable too: only decrypted bytes, or an end, count.
  bool readable() override {
    if (SSL_pending(ssl_.get()) > 0) return true;
    if (wait_for(fd_.get(), POLLIN, 0) == 0) return false;
    ERR_clear_error();
    char byte;
    const int got = SSL_peek(ssl_.get(), &byte, 1);
    return got > 0 || SSL_get_error(ssl_.get(), got) != SSL_ERROR_WANT_READ;
  }

 private:
  // What OpenSSL waits for after `done` <= 0.
  Result<bool> wait(int done, OnInput on_input, uint32_t timeout_ms) {
    const int saved = errno;
    const int reason = SSL_get_error(ssl_.get(), done);
    short events = 0;
    if (reason == SSL_ERROR_WANT_READ) {
      events = POLLIN;
    } else if (reason == SSL_ERROR_WANT_WRITE) {
      events = static_cast<short>(on_input == OnInput::Stop ? POLLOUT | POLLIN : POLLOUT);
    } else {
      const bool system = reason == SSL_ERROR_SYSCALL && saved != 0 && ERR_peek_error() == 0;
      return fail(Code::Unavailable, "TLS with " + peer_ + ": " + (system ? error_text(saved) : tls_text()));
    }
    if (wait_for(fd_.get(), events, static_cast<int>(timeout_ms)) == 0)
      return std::unexpected(stalled(peer_, timeout_ms));
    return true;
  }

  Descriptor fd_;
  const std::string peer_;
  const uint32_t stall_ms_;
  std::unique_ptr<SSL_CTX, TlsFree> context_;
  std::unique_ptr<SSL, TlsFree> ssl_;
};

// The reason it failed, or a connected non-blocking socket.
Result<Descriptor> connect_to(const addrinfo& address, uint32_t timeout_ms) {
  Descriptor fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail(Code::Unavailable, error_text(errno));
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return fail(Code::Unavailable, error_text(errno));
    if (wait_for(fd.get(), POLLOUT, static_cast<int>(timeout_ms)) == 0)
      return fail(Code::Unavailable, "no answer in " + std::to_string(timeout_ms) + " ms");
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail(Code::Unavailable, error_text(error));
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// OpenSSL writes to its socket without MSG_NOSIGNAL.
void ignore_sigpipe() {
  struct sigaction present{};
  if (sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

Result<std::unique_ptr<Wire>> Wire::connect(const BaseUrl& to, const WireOptions& options) {
  const std::string peer = to.host_port();
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found); error != 0)
    return fail(Code::Unavailable, "cannot connect to " + peer + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  std::string why = "no address";
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    Result<Descriptor> fd = connect_to(*address, options.connect_timeout_ms);
    if (!fd) {
      why = fd.error().message;
      continue;
    }
    if (!to.tls) return std::make_unique<PlainWire>(std::move(*fd), peer, options.stall_timeout_ms);
    ignore_sigpipe();
    auto wire = std::make_unique<TlsWire>(std::move(*fd), peer, options.stall_timeout_ms);
    TRY_DO(wire->handshake(to, options));
    return wire;
  }
  return fail(Code::Unavailable, "cannot connect to " + peer + ": " + why);
}

}  // namespace hailstone::http
