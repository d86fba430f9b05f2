// A small blocking HTTP/1.1 client over one persistent connection, for the CLI, mirrors and tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "http/url.h"

namespace hailstone::http {

class Wire;

struct ClientOptions {
  uint32_t connect_timeout_ms = 10'000;  // name resolution not counted
  uint32_t stall_timeout_ms = 60'000;    // without a byte of progress, either way; also the wait for a response's head
  uint32_t head_bytes_max = 64u << 10;
  std::string ca_file;  // PEM; empty: the system's trust store
  enum class Verify : uint8_t { Peer, None } verify = Verify::Peer;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // origin-form, appended to the base URL's path
  HeaderBlock headers;       // Host, Content-Length, Transfer-Encoding and User-Agent are the client's to add
  ByteView body;             // sent as it is, unless body_source is set; must outlive the call
  /// Pulled until it returns 0. Chunked, unless body_length says how much it will be.
  std::function<Result<size_t>(char* out, size_t size)> body_source;
  std::optional<uint64_t> body_length;
};

struct ClientResponse {
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;
  std::optional<uint64_t> content_length;

  /// First field of that name, ASCII case ignored.
  std::optional<std::string_view> field(std::string_view name) const;
};

/// Not thread-safe. Redirects are the caller's.
class Client {
 public:
  Client(BaseUrl base, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Sends a request, reads the response's head; interim responses (1xx) are skipped. What is unread of the response
  /// before is dropped, with the connection if need be. A response that comes before the request's body is sent whole
  /// (a refusal) is returned and ends the connection after it. A kept connection that turns out dead is replaced once,
  /// without a word, where repeating the request is safe: idempotent, its body in memory.
  /// Errors: Unavailable "cannot connect to HOST:PORT: ...", or when the connection ended and the request is
  /// idempotent; Timeout when the outcome is unknown; Corrupt for a response that is not HTTP/1; body_source's own.
  Result<ClientResponse> send(const ClientRequest& request);
  /// The body of the last response: at least one byte, or 0 at its end. Errors: Unavailable when it is cut short,
  /// Timeout when it stalls, Corrupt for broken framing.
  Result<size_t> read_some(char* out, size_t size);
  /// The rest of the body. Exhausted when it is longer.
  Result<Bytes> read_all(uint64_t bytes_max);

  struct Whole {
    ClientResponse head;
    Bytes body;
  };
  /// send() and read_all().
  Result<Whole> fetch(const ClientRequest& request, uint64_t bytes_max = 64u << 20);

  const BaseUrl& base() const { return base_; }
  void close();

 private:
  bool reusable();
  Result<void> connect();
  Result<ClientResponse> exchange(const ClientRequest& request);
  Result<void> send_request(const ClientRequest& request);
  Result<void> send_source(const ClientRequest& request);
  Result<ClientResponse> read_head(std::string_view method);

  const BaseUrl base_;
  const ClientOptions options_;
  std::unique_ptr<Wire> wire_;
  struct Reading;
  std::unique_ptr<Reading> reading_;  // of the present response
};

}  // namespace hailstone::http
