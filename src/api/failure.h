// What a request can fail with, and the one table that turns it into a status and a body.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "publish/checks.h"
#include "publish/publisher.h"

namespace hailstone::api {

/// An error with what a program needs beside the message. Converts from Error, so that TRY works in handlers.
struct Failure {
  Error error;
  std::vector<Bytes> keys{};                 // the entries concerned, in order: conflicts, missing contents
  std::vector<publish::Finding> findings{};  // what the checks of a publish said
  uint64_t key_count = 0;                    // all that are concerned, where `keys` is cut; 0: keys.size()
  int status = 0;                            // 0: status_of(error.code)
  Bytes allow{};                             // with 405: the methods of the path

  Failure(Error e) : error(std::move(e)) {}  // NOLINT(google-explicit-constructor)
  Failure(Error e, int s) : error(std::move(e)), status(s) {}
  Failure(publish::Refusal refusal);  // NOLINT(google-explicit-constructor)
};

inline std::unexpected<Failure> fail_with(int status, Code code, std::string message) {
  return std::unexpected(Failure(Error{code, std::move(message)}, status));
}

/// The table of docs/reference/http-api.md, "Errors".
int status_of(Code code);

/// {"error":{...}} with no-store; 401 carries WWW-Authenticate, 503 Retry-After.
http::Response respond(const Failure& failure);

}  // namespace hailstone::api
