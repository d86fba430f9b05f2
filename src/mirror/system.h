// Owned file descriptors, and errno as an Error that names the object.
#pragma once

#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::mirror {

/// Closes on destruction; -1 is none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// "create a/b: No space left on device". Codes: NotFound, Exists, Denied, Exhausted, Invalid (not a directory, symlink
/// in the way, name too long), Unsupported, else Io.
Error system_error(int error_number, std::string_view action, ByteView path);

inline std::unexpected<Error> system_fail(int error_number, std::string_view action, ByteView path) {
  return std::unexpected(system_error(error_number, action, path));
}

/// Writes all of `bytes` at `offset`; errno of the failure, or 0.
int write_all(int fd, ByteView bytes, uint64_t offset);

}  // namespace hailstone::mirror
