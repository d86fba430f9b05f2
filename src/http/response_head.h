// Writes the head of a response: status line, what the server itself adds, the handler's header block.
#pragma once

#include <cstdint>
#include <optional>

#include "http/message.h"

namespace hailstone::http {

/// "Server: ...\r\nDate: ...\r\n", rewritten when the second changes. One per thread.
class DateLines {
 public:
  ByteView lines(int64_t unix_seconds);

 private:
  int64_t second_ = -1;
  Bytes lines_;
};

struct ResponseFraming {
  enum class Body : uint8_t { None, Length, Chunked, UntilClose };
  Body body = Body::None;  // None: neither a length nor a coding is announced (1xx, 204, some 304)
  uint64_t length = 0;     // Body::Length
  enum class Connection : uint8_t { Default, Close, KeepAlive } connection = Connection::Default;
};

/// Appends the head with its final empty line to `out`.
void append_response_head(Bytes& out, int status, ByteView date_lines, const ResponseFraming& framing,
                          ByteView header_lines);

/// How the body of `response` travels to a client that sent this `request`. `keep_alive`: whether the connection goes
/// on; cleared where only the end of the connection can end the body.
ResponseFraming frame_response(const RequestHead& request, const Response& response, bool& keep_alive);

/// 1xx, 204 and 304 have no body; nor has anything for HEAD.
bool has_body(const RequestHead& request, int status);

}  // namespace hailstone::http
