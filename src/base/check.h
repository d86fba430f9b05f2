// CHECK: for our own bugs only, on in release builds. Bytes from disk, peers, users or config are never CHECKed.
#pragma once

namespace hailstone {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

#define CHECK(expression)                                         \
  do {                                                            \
    if (!(expression)) [[unlikely]]                               \
      ::hailstone::check_failed(#expression, __FILE__, __LINE__); \
  } while (false)
