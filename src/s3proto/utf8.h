// UTF-8 as RFC 3629 allows it, one character at a time: keys, tags and XML may hold nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace hailstone::s3proto {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: malformed (cut, overlong, surrogate, above U+10FFFF)
};

/// The character `text`, which is not empty, starts with.
constexpr CodePoint first_code_point(ByteView text) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  const uint32_t lead = at(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  uint32_t value = lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (at(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[bytes] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
  return {value, bytes};
}

constexpr bool is_utf8(ByteView text) {
  while (!text.empty()) {
    const size_t bytes = first_code_point(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

/// Number of characters of well-formed text (S3's limits on tags count characters).
constexpr size_t count_code_points(ByteView text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

}  // namespace hailstone::s3proto
