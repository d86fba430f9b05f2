#include "chunk/cutter.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/codec.h"
#include "base/hash.h"

namespace hailstone::chunk {
namespace {

/// Entry i is the first 8 bytes, little-endian, of SHA-256("hailstone gear 1" followed by byte i).
std::array<uint64_t, 256> make_gear() {
  std::array<uint64_t, 256> gear;
  for (size_t i = 0; i < gear.size(); ++i) {
    Bytes seed = "hailstone gear 1";
    seed.push_back(static_cast<char>(i));
    const Hash256 digest = sha256(seed);
    gear[i] = Decoder(digest.view()).u64();
  }
  return gear;
}

/// The top `bits` bits: those of the gear hash that depend on the most bytes.
uint64_t top_bits(int bits) { return ~uint64_t{0} << (64 - bits); }

}  // namespace

Result<void> validate(const CutOptions& options) {
  const bool ordered = options.min_bytes >= 64 && options.min_bytes < options.average_bytes &&
                       options.average_bytes < options.max_bytes && options.max_bytes <= kChunkBytesMax;
  if (!ordered || !std::has_single_bit(options.average_bytes))
    return fail(Code::Invalid,
                fmt::format("cut sizes {}/{}/{}: need 64 <= min < average < max <= {}, average a power of two",
                            options.min_bytes, options.average_bytes, options.max_bytes, kChunkBytesMax));
  return {};
}

// Xia et al., "FastCDC" (USENIX ATC 2016), with normalization level 2: two more mask bits than the average asks for
// before the average size is reached, two fewer after it.
size_t cut(ByteView bytes, const CutOptions& options) {
  static const std::array<uint64_t, 256> gear = make_gear();
  const size_t end = std::min<size_t>(bytes.size(), options.max_bytes);
  if (end <= options.min_bytes) return end;
  const int bits = std::bit_width(options.average_bytes) - 1;
  const uint64_t hard = top_bits(bits + 2);
  const uint64_t easy = top_bits(bits - 2);
  const size_t normal = std::min<size_t>(end, options.average_bytes);
  uint64_t hash = 0;
  size_t i = options.min_bytes;
  for (; i < normal; ++i) {
    hash = (hash << 1) + gear[static_cast<uint8_t>(bytes[i])];
    if ((hash & hard) == 0) return i + 1;
  }
  for (; i < end; ++i) {
    hash = (hash << 1) + gear[static_cast<uint8_t>(bytes[i])];
    if ((hash & easy) == 0) return i + 1;
  }
  return end;
}

}  // namespace hailstone::chunk
