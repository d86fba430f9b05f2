#include "http/response_head.h"

#include <charconv>

#include "base/clock.h"

namespace hailstone::http {
namespace {

void append_number(Bytes& out, uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

void append_status_line(Bytes& out, int status) {
  if (status == 200) {
    out.append("HTTP/1.1 200 OK\r\n");
    return;
  }
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<uint64_t>(status));
  out.append(" ").append(reason_phrase(status)).append("\r\n");
}

}  // namespace

ByteView DateLines::lines(int64_t unix_seconds) {
  if (unix_seconds != second_) {
    second_ = unix_seconds;
    lines_ = "Server: hailstone\r\nDate: " + format_http_date(unix_seconds) + "\r\n";
  }
  return lines_;
}

void append_response_head(Bytes& out, int status, ByteView date_lines, const ResponseFraming& framing,
                          ByteView header_lines) {
  out.reserve(out.size() + 160 + date_lines.size() + header_lines.size());
  append_status_line(out, status);
  out.append(date_lines);
  if (framing.body == ResponseFraming::Body::Length) {
    out.append("Content-Length: ");
    append_number(out, framing.length);
    out.append("\r\n");
  } else if (framing.body == ResponseFraming::Body::Chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  }
  if (framing.connection == ResponseFraming::Connection::Close) out.append("Connection: close\r\n");
  if (framing.connection == ResponseFraming::Connection::KeepAlive) out.append("Connection: keep-alive\r\n");
  out.append(header_lines).append("\r\n");
}

bool has_body(const RequestHead& request, int status) {
  return request.method != Method::Head && status >= 200 && status != 204 && status != 304;
}

ResponseFraming frame_response(const RequestHead& request, const Response& response, bool& keep_alive) {
  ResponseFraming framing;
  using Body = ResponseFraming::Body;
  const auto* part = std::get_if<Part>(&response.body);
  const bool streams = std::holds_alternative<std::unique_ptr<BodySource>>(response.body);
  const bool bodyless = response.status < 200 || response.status == 204;
  // An empty GET response has a length, 0; of HEAD's and 304's only the handler can know.
  std::optional<uint64_t> length = response.content_length;
  if (part != nullptr) length = part_length(*part);
  if (!length && !streams && has_body(request, response.status)) length = 0;
  if (bodyless) {
    framing.body = Body::None;
  } else if (length) {
    framing.body = Body::Length;
    framing.length = *length;
  } else if (streams && response.status != 304) {
    framing.body = request.minor_version >= 1 ? Body::Chunked : Body::UntilClose;
    if (framing.body == Body::UntilClose && request.method != Method::Head) keep_alive = false;
  }
  using Connection = ResponseFraming::Connection;
  if (!keep_alive) {
    framing.connection = Connection::Close;
  } else if (request.minor_version == 0) {
    framing.connection = Connection::KeepAlive;
  }
  return framing;
}

}  // namespace hailstone::http
