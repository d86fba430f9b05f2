// Bytes to put into chunks in tests: the same for the same seed.
#pragma once

#include <random>
#include <string>

#include "base/bytes.h"

namespace hailstone::chunk {

/// Bytes that do not compress.
inline Bytes noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

/// Bytes that compress well, different for each seed.
inline Bytes prose(size_t size, uint64_t seed) {
  const Bytes line = "line " + std::to_string(seed) + " of something that repeats itself; ";
  Bytes out;
  while (out.size() < size) out += line;
  out.resize(size);
  return out;
}

}  // namespace hailstone::chunk
