// The one table from errors to HTTP answers.
#pragma once

#include "base/error.h"
#include "http/message.h"

namespace hailstone::depot {

int status_of(Code code);

/// Text, never stored by a cache. 503 says when to retry.
http::Response error_response(const Error& error, uint32_t retry_after_seconds);
/// For statuses that are no error of ours: 404, 405, 410, 416 ...
http::Response refusal(int status, std::string_view text);

http::Response redirect(int status, std::string_view location, std::string_view cache_control);

/// What every answer carries.
void add_common_headers(http::HeaderBlock& headers);

}  // namespace hailstone::depot
