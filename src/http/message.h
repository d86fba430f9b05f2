// HTTP/1.1 requests and responses as values (RFC 9110, RFC 9112); no socket in sight.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "http/task.h"

namespace hailstone::http {

enum class Method : uint8_t { Get, Head, Put, Post, Delete, Options, Patch, Other };

/// A parsed request head. Views point into the connection's buffer and live as long as the request.
struct RequestHead {
  Method method = Method::Get;
  std::string_view method_text;
  std::string_view target;  // as sent, starts with '/' (absolute-form is reduced to it) or is "*"
  std::string_view path;    // target up to '?', still percent-encoded
  std::string_view query;   // after '?', still encoded; empty when there is none
  struct Field {
    std::string_view name, value;  // value without surrounding white space
  };
  std::vector<Field> fields;
  uint8_t minor_version = 1;  // of HTTP/1.x
  bool keep_alive = true;
  bool expects_continue = false;
  std::optional<uint64_t> content_length;
  bool chunked = false;

  /// First field of that name, ASCII case ignored.
  std::optional<std::string_view> field(std::string_view name) const;
  /// Decoded value of a query parameter (name=value&...), '+' as space; nothing when absent or malformed.
  std::optional<Bytes> parameter(std::string_view name) const;
};

/// Part of a kernel file, sent with sendfile(2).
struct FileSpan {
  std::shared_ptr<const void> pin;  // keeps fd open and its bytes in place until sent
  int fd = -1;
  uint64_t offset = 0;
  uint64_t length = 0;
};

/// Part of shared immutable bytes.
struct SharedSpan {
  std::shared_ptr<const Bytes> bytes;
  uint64_t offset = 0;
  uint64_t length = 0;
};

/// Memory whose pages nobody writes to again, not even after `pin` is let go: the kernel sends from where they lie, and
/// may hold them longer than we do.
struct PageSpan {
  std::shared_ptr<const void> pin;
  ByteView bytes;
};

using Part = std::variant<Bytes, SharedSpan, FileSpan, PageSpan>;
uint64_t part_length(const Part& part);

/// A body produced piece by piece, pulled as the client takes it.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// The next part, nothing at the end. An error cuts the connection short: the client sees a truncated body, never a
  /// wrong one.
  virtual Task<Result<std::optional<Part>>> next() = 0;
};

/// Header lines ready to send, "Name: value\r\n" each. Date, Content-Length, Transfer-Encoding, Connection and Server
/// are the server's to add.
class HeaderBlock {
 public:
  /// CR, LF and NUL in a value become spaces: nothing of a request can split a response.
  void add(std::string_view name, std::string_view value);
  const Bytes& lines() const { return lines_; }
  Bytes& lines() { return lines_; }

 private:
  Bytes lines_;
};

struct Response {
  int status = 200;
  HeaderBlock headers;
  std::variant<std::monostate, Part, std::unique_ptr<BodySource>> body;
  /// Bytes of the body. Taken from a Part; required of a BodySource, or the body goes out chunked. For HEAD set it with
  /// an empty body to announce what GET would send.
  std::optional<uint64_t> content_length;
  bool close = false;  // end the connection after this response

  static Response text(int status, Bytes body);  // text/plain; charset=utf-8
  static Response json(int status, Bytes body);  // application/json
};

std::string_view reason_phrase(int status);

/// The body of a request, pulled by its handler. What is left unread is drained (within limits) or the connection
/// closed.
class RequestBody {
 public:
  virtual ~RequestBody() = default;
  /// At least one byte, or 0 at the end. Sends 100-continue on the first call where the client waits for it.
  /// Errors: Cancelled (client went away), Timeout (too slow), Invalid (bad chunked framing).
  virtual Task<Result<size_t>> read_some(char* out, size_t size) = 0;
};

struct Request {
  const RequestHead& head;
  RequestBody& body;
  std::string_view peer;  // "127.0.0.1:53122"
  bool secure = false;    // came over TLS
};

/// Reads the whole body; Exhausted when it is longer than bytes_max (answer 413).
Task<Result<Bytes>> read_all(RequestBody& body, uint64_t bytes_max);

/// One per server thread: called from that thread only, concurrently for its connections (interleaved at co_await).
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<Response> handle(Request request) = 0;
};

}  // namespace hailstone::http
