#include "depot/errors.h"

#include <fmt/format.h>

namespace hailstone::depot {

int status_of(Code code) {
  switch (code) {
    case Code::Invalid: return 400;
    case Code::NotFound: return 404;
    case Code::Exists: return 409;
    case Code::Conflict: return 409;
    case Code::Unavailable: return 503;
    case Code::Timeout: return 503;
    case Code::Corrupt: return 500;
    case Code::Exhausted: return 503;
    case Code::Denied: return 403;
    case Code::Unsupported: return 501;
    case Code::Cancelled: return 503;
    case Code::Io: return 500;
  }
  return 500;
}

void add_common_headers(http::HeaderBlock& headers) { headers.add("X-Content-Type-Options", "nosniff"); }

http::Response refusal(int status, std::string_view text) {
  auto response = http::Response::text(status, fmt::format("{}\n", text));
  response.headers.add("Cache-Control", "no-store");
  add_common_headers(response.headers);
  return response;
}

http::Response error_response(const Error& error, uint32_t retry_after_seconds) {
  const int status = status_of(error.code);
  auto response = refusal(status, fmt::format("{}: {}", code_name(error.code), error.message));
  if (status == 503) response.headers.add("Retry-After", fmt::format("{}", retry_after_seconds));
  return response;
}

http::Response redirect(int status, std::string_view location, std::string_view cache_control) {
  auto response = http::Response::text(status, fmt::format("See {}\n", location));
  response.headers.add("Location", location);
  response.headers.add("Cache-Control", cache_control);
  add_common_headers(response.headers);
  return response;
}

}  // namespace hailstone::depot
