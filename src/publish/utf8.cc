#include "publish/utf8.h"

namespace hailstone::publish {

std::optional<uint32_t> take_code_point(ByteView& text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  size_t size = 1;
  uint32_t point = first;
  uint32_t least = 0;
  if (first >= 0xf0 && first <= 0xf4) {
    size = 4, point = first & 0x07u, least = 0x10000;
  } else if (first >= 0xe0 && first < 0xf0) {
    size = 3, point = first & 0x0fu, least = 0x800;
  } else if (first >= 0xc2 && first < 0xe0) {
    size = 2, point = first & 0x1fu, least = 0x80;
  } else if (first >= 0x80) {
    text.remove_prefix(1);
    return {};
  }
  bool good = size <= text.size();
  for (size_t i = 1; good && i < size; ++i) {
    good = (at(i) & 0xc0) == 0x80;
    point = point << 6 | (at(i) & 0x3fu);
  }
  good = good && point >= least && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
  text.remove_prefix(good ? size : 1);
  return good ? std::optional(point) : std::nullopt;
}

bool valid_utf8(ByteView text) {
  while (!text.empty())
    if (!take_code_point(text)) return false;
  return true;
}

}  // namespace hailstone::publish
