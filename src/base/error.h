// What can go wrong, said once: an error code that tells the caller what to do, and a message that names the object.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace hailstone {

/// What the caller should do about a failure. Edges translate these to HTTP, S3 or exit codes in one table each.
enum class Code : unsigned char {
  Invalid,      // the request is wrong; repeating it won't help
  NotFound,     // no such thing
  Exists,       // exclusive creation found it already there
  Conflict,     // state moved on; re-read and try again
  Unavailable,  // not now; retry later
  Timeout,      // the outcome is unknown; retry with the same idempotency key
  Corrupt,      // stored bytes fail their checksum
  Exhausted,    // no space, quota or other bounded resource left
  Denied,       // the caller may not do this
  Unsupported,  // understood, not built
  Cancelled,    // the caller or a shutdown stopped it
  Io,           // the device or kernel refused; the object has turned failed and must be reopened
};

/// Stable lower-case name ("not_found"), used by the JSON API, logs and exit-code table.
std::string_view code_name(Code code);

struct Error {
  Code code = Code::Io;
  std::string message;

  bool operator==(const Error&) const = default;

  /// The same error seen from one layer up: "opening store: segment 17: ...".
  Error within(std::string_view where) && {
    message = std::string(where) + ": " + message;
    return std::move(*this);
  }
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

}  // namespace hailstone

#define HAILSTONE_CONCAT_(a, b) a##b
#define HAILSTONE_CONCAT(a, b) HAILSTONE_CONCAT_(a, b)

// TRY(auto x, f()): declares x from f()'s value, or returns its error from the enclosing function.
#define TRY(declaration, expression) TRY_IMPL_(declaration, expression, HAILSTONE_CONCAT(try_, __COUNTER__), return)
// TRY_DO(f()): runs f() for its effect, or returns its error.
#define TRY_DO(expression)                                                                                  \
  do {                                                                                                      \
    if (auto try_result = (expression); !try_result) return std::unexpected(std::move(try_result).error()); \
  } while (false)
// The same inside a coroutine.
#define CO_TRY(declaration, expression) \
  TRY_IMPL_(declaration, expression, HAILSTONE_CONCAT(try_, __COUNTER__), co_return)
#define CO_TRY_DO(expression)                                                                                  \
  do {                                                                                                         \
    if (auto try_result = (expression); !try_result) co_return std::unexpected(std::move(try_result).error()); \
  } while (false)
#define TRY_IMPL_(declaration, expression, temporary, leave)           \
  auto temporary = (expression);                                       \
  if (!temporary) leave std::unexpected(std::move(temporary).error()); \
  declaration = std::move(*temporary)
