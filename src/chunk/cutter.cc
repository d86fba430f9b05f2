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

size_t cut(ByteView bytes, const CutOptions& options) { return Cutter(options).find(bytes).value_or(bytes.size()); }

// Xia et al., "FastCDC" (USENIX ATC 2016), with normalization level 2: two more mask bits than the average asks for
// before the average size is reached, two fewer after it.
Cutter::Cutter(const CutOptions& options) : options_(options) {
  const int bits = std::bit_width(options.average_bytes) - 1;
  hard_ = top_bits(bits + 2);
  easy_ = top_bits(bits - 2);
}

void Cutter::restart() {
  position_ = 0;
  hash_ = 0;
}

std::optional<size_t> Cutter::find(ByteView next) {
  static const std::array<uint64_t, 256> gear = make_gear();
  // Counted from the beginning of the chunk, as the sizes are.
  const size_t end = std::min<size_t>(position_ + next.size(), options_.max_bytes);
  const size_t normal = std::min<size_t>(end, options_.average_bytes);
  size_t i = std::max<size_t>(position_, options_.min_bytes);
  uint64_t hash = hash_;
  const auto ends_at = [this](size_t at) {
    const size_t length = at - position_;
    restart();
    return length;
  };
  for (; i < normal; ++i) {
    hash = (hash << 1) + gear[static_cast<uint8_t>(next[i - position_])];
    if ((hash & hard_) == 0) return ends_at(i + 1);
  }
  for (; i < end; ++i) {
    hash = (hash << 1) + gear[static_cast<uint8_t>(next[i - position_])];
    if ((hash & easy_) == 0) return ends_at(i + 1);
  }
  if (end == options_.max_bytes) return ends_at(end);
  position_ = end;
  hash_ = hash;
  return std::nullopt;
}

}  // namespace hailstone::chunk
