#include "mirror/system.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hailstone::mirror {
namespace {

Code code_of(int error_number) {
  switch (error_number) {
    case ENOENT: return Code::NotFound;
    case EEXIST: return Code::Exists;
    case EACCES:
    case EPERM:
    case EROFS: return Code::Denied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE: return Code::Exhausted;
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL: return Code::Invalid;
    case ENOTSUP: return Code::Unsupported;
    default: return Code::Io;
  }
}

}  // namespace

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error system_error(int error_number, std::string_view action, ByteView path) {
  const char* text = error_number == ELOOP ? "a symbolic link is in the way" : strerrordesc_np(error_number);
  return Error{code_of(error_number),
               fmt::format("{} {}: {}", action, printable(path), text != nullptr ? text : "unknown error")};
}

int write_all(int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return 0;
}

}  // namespace hailstone::mirror
