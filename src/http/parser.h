// Bytes to request and response heads: pure, incremental, strict (RFC 9112); llhttp inside, no socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "http/message.h"

namespace hailstone::http {

/// Why a head or body framing is refused. status_of() says with which status.
enum class Reject : uint8_t {
  BadRequestLine,         // 400
  BadTarget,              // 400: characters that no URI has, a fragment, "*" without OPTIONS
  BadField,               // 400: name or value with forbidden characters, space before the colon, no colon
  BareLineFeed,           // 400
  BareCarriageReturn,     // 400
  FoldedField,            // 400: obs-fold
  BadHost,                // 400: none on HTTP/1.1, two, or not a host
  BadContentLength,       // 400: not a number, or more than one
  AmbiguousLength,        // 400: Content-Length with Transfer-Encoding; Transfer-Encoding on HTTP/1.0; chunked twice
  BadChunk,               // 400: chunk size, extension or line end
  BadTrailer,             // 400
  HeadTimeout,            // 408: the server's own, for completeness of the table
  LengthTooLarge,         // 413: 2^63 and more
  TargetTooLong,          // 414: the request line alone passes the limit
  UnknownExpectation,     // 417
  HeadTooLarge,           // 431
  TooManyFields,          // 431
  UnknownMethod,          // 501: a token, but none we know; CONNECT
  UnknownTransferCoding,  // 501
  UnsupportedVersion,     // 505
};
int status_of(Reject reason);
/// "bare line feed"; for response bodies, logs and metrics.
std::string_view reject_text(Reject reason);

struct HeadLimits {
  uint32_t bytes_max = 32u << 10;
  uint32_t fields_max = 100;
};

struct Parsed {
  enum class State : uint8_t { NeedMore, Done, Rejected };
  State state = State::NeedMore;
  size_t head_bytes = 0;                   // Done: length of the head, empty line included; the body begins there
  Reject reason = Reject::BadRequestLine;  // Rejected only
};

/// Finds the end of a head line by line as bytes arrive; each byte is looked at once.
class HeadScanner {
 public:
  /// `buffer` begins where it began in the last call since reset() and has the same bytes first.
  Parsed scan(ByteView buffer, const HeadLimits& limits);
  void reset() { *this = HeadScanner(); }

 private:
  size_t line_start_ = 0;
  size_t scanned_ = 0;
  size_t lines_ = 0;  // complete lines, leading empty one not counted
  size_t blank_ = 0;  // bytes of the leading empty line (RFC 9112 §2.2)
};

/// One request head after another. `head`'s views point into `buffer` (an absolute-form target's empty path: to a
/// literal). NeedMore: call again with the same bytes and more after them. Done and Rejected: call reset() before the
/// next head.
class RequestParser {
 public:
  explicit RequestParser(const HeadLimits& limits) : limits_(limits) {}
  Parsed parse(ByteView buffer, RequestHead& head);
  void reset() { scanner_.reset(); }

 private:
  HeadLimits limits_;
  HeadScanner scanner_;
};

struct ResponseHead {
  int status = 0;
  uint8_t minor_version = 1;
  std::string_view reason;
  std::vector<RequestHead::Field> fields;
  bool keep_alive = true;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  std::optional<std::string_view> field(std::string_view name) const;
};

/// The same for responses, for our client. A response's framing is refused as strictly as a request's.
class ResponseParser {
 public:
  explicit ResponseParser(const HeadLimits& limits) : limits_(limits) {}
  Parsed parse(ByteView buffer, ResponseHead& head);
  void reset() { scanner_.reset(); }

 private:
  HeadLimits limits_;
  HeadScanner scanner_;
};

}  // namespace hailstone::http
