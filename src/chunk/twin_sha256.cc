#include "chunk/twin_sha256.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace hailstone::chunk {
namespace {

constexpr size_t kBlock = 64;

#if defined(__x86_64__)

#define HAILSTONE_SHA __attribute__((target("sha,sse4.1,ssse3")))
#define HAILSTONE_SHA_INLINE __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline

bool processor_has_sha() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSE4_1) == 0 || (c & bit_SSSE3) == 0) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
  }();
  return has;
}

// FIPS 180-4 §4.2.2.
alignas(64) constexpr std::array<uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The order in which the SHA instructions want the eight words: a b e f, and c d g h.
struct Registers {
  __m128i abef, cdgh;
};

HAILSTONE_SHA_INLINE Registers load(const std::array<uint32_t, 8>& s) {
  const auto word = [&](size_t i) { return static_cast<int>(s[i]); };
  return {_mm_set_epi32(word(0), word(1), word(4), word(5)), _mm_set_epi32(word(2), word(3), word(6), word(7))};
}

HAILSTONE_SHA_INLINE void store(const Registers& r, std::array<uint32_t, 8>& s) {
  alignas(16) std::array<uint32_t, 4> abef, cdgh;
  _mm_store_si128(reinterpret_cast<__m128i*>(abef.data()), r.abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(cdgh.data()), r.cdgh);
  s = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
}

// One block on its way through one chain.
struct Step {
  __m128i message[4];  // 16 words of the schedule, each replaced when it was used
  Registers now;
};

HAILSTONE_SHA_INLINE Step begin(const Registers& chain, const char* block) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
  Step step;
  for (int i = 0; i < 4; ++i)
    step.message[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i), big_endian);
  step.now = chain;
  return step;
}

// Rounds 4 * Group to 4 * Group + 3.
template <int Group>
HAILSTONE_SHA_INLINE void four_rounds(Step& step) {
  const __m128i words = step.message[Group % 4];
  const __m128i sums =
      _mm_add_epi32(words, _mm_load_si128(reinterpret_cast<const __m128i*>(&kRoundConstants[4 * Group])));
  step.now.cdgh = _mm_sha256rnds2_epu32(step.now.cdgh, step.now.abef, sums);
  if constexpr (Group >= 3 && Group < 15) {
    __m128i& next = step.message[(Group + 1) % 4];
    next = _mm_sha256msg1_epu32(next, step.message[(Group + 2) % 4]);
    next = _mm_add_epi32(next, _mm_alignr_epi8(words, step.message[(Group + 3) % 4], 4));
    next = _mm_sha256msg2_epu32(next, words);
  }
  step.now.abef = _mm_sha256rnds2_epu32(step.now.abef, step.now.cdgh, _mm_shuffle_epi32(sums, 0x0e));
}

HAILSTONE_SHA_INLINE void end(const Step& step, Registers& chain) {
  chain.abef = _mm_add_epi32(chain.abef, step.now.abef);
  chain.cdgh = _mm_add_epi32(chain.cdgh, step.now.cdgh);
}

template <int Group = 0>
HAILSTONE_SHA_INLINE void rounds(Step& a, Step& b) {
  four_rounds<Group>(a);
  four_rounds<Group>(b);
  if constexpr (Group < 15) rounds<Group + 1>(a, b);
}

template <int Group = 0>
HAILSTONE_SHA_INLINE void rounds(Step& a) {
  four_rounds<Group>(a);
  if constexpr (Group < 15) rounds<Group + 1>(a);
}

HAILSTONE_SHA void compress(std::array<uint32_t, 8>& state, const char* from, size_t blocks) {
  Registers chain = load(state);
  for (; blocks > 0; --blocks, from += kBlock) {
    Step step = begin(chain, from);
    rounds(step);
    end(step, chain);
  }
  store(chain, state);
}

HAILSTONE_SHA void compress_two(std::array<uint32_t, 8>& state_a, const char* a, std::array<uint32_t, 8>& state_b,
                                const char* b, size_t blocks) {
  Registers chain_a = load(state_a), chain_b = load(state_b);
  for (; blocks > 0; --blocks, a += kBlock, b += kBlock) {
    Step step_a = begin(chain_a, a), step_b = begin(chain_b, b);
    rounds(step_a, step_b);
    end(step_a, chain_a);
    end(step_b, chain_b);
  }
  store(chain_a, state_a);
  store(chain_b, state_b);
}

#else

bool processor_has_sha() { return false; }
void compress(std::array<uint32_t, 8>&, const char*, size_t) { CHECK(false); }
void compress_two(std::array<uint32_t, 8>&, const char*, std::array<uint32_t, 8>&, const char*, size_t) {
  CHECK(false);
}

#endif

}  // namespace

void TwinSha256::Chain::restart() {
  // FIPS 180-4 §5.3.3.
  state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  bytes = 0;
}

ByteView TwinSha256::Chain::complete(ByteView in) {
  if (pending() == 0) return in;
  const size_t n = std::min(in.size(), kBlock - pending());
  std::memcpy(rest.data() + pending(), in.data(), n);
  bytes += n;
  if (pending() == 0) compress(state, rest.data(), 1);
  return in.substr(n);
}

void TwinSha256::Chain::keep(ByteView in) {
  CHECK(in.size() < kBlock);
  if (!in.empty()) std::memcpy(rest.data(), in.data(), in.size());
  bytes += in.size();
}

void TwinSha256::Chain::update(ByteView in) {
  in = complete(in);
  const size_t blocks = in.size() / kBlock;
  compress(state, in.data(), blocks);
  bytes += blocks * kBlock;
  if (pending() == 0) keep(in.substr(blocks * kBlock));
}

Hash256 TwinSha256::Chain::finish() {
  // FIPS 180-4 §5.1.1: a one bit, zeros, the length in bits, big-endian.
  const uint64_t bits = bytes * 8;
  std::array<char, 2 * kBlock> tail{};
  const size_t used = pending();
  std::memcpy(tail.data(), rest.data(), used);
  tail[used] = static_cast<char>(0x80);
  const size_t blocks = used + 1 + 8 <= kBlock ? 1 : 2;
  for (size_t i = 0; i < 8; ++i) tail[blocks * kBlock - 1 - i] = static_cast<char>(bits >> (8 * i));
  compress(state, tail.data(), blocks);
  Hash256 out;
  for (size_t i = 0; i < out.bytes.size(); ++i) out.bytes[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

TwinSha256::TwinSha256(Engine engine) {
  whole_.restart();
  part_.restart();
  if (engine == Engine::Best && processor_has_sha()) return;
  portable_whole_.emplace(Hasher::Kind::Sha256);
  portable_part_.emplace(Hasher::Kind::Sha256);
}

void TwinSha256::update(ByteView bytes) {
  if (bytes.empty()) return;
  part_open_ = true;
  if (portable_whole_) {
    portable_whole_->update(bytes);
    portable_part_->update(bytes);
    return;
  }
  // The chains may stand at different places within their blocks.
  const ByteView whole = whole_.complete(bytes), part = part_.complete(bytes);
  const size_t blocks = std::min(whole.size(), part.size()) / kBlock;
  compress_two(whole_.state, whole.data(), part_.state, part.data(), blocks);
  whole_.bytes += blocks * kBlock;
  part_.bytes += blocks * kBlock;
  if (whole.size() > 0) whole_.update(whole.substr(blocks * kBlock));
  if (part.size() > 0) part_.update(part.substr(blocks * kBlock));
}

void TwinSha256::update_whole(ByteView bytes) {
  CHECK(!part_open_);
  if (portable_whole_)
    portable_whole_->update(bytes);
  else
    whole_.update(bytes);
}

Hash256 TwinSha256::end_part() {
  part_open_ = false;
  if (portable_part_) {
    const Hash256 out = Hash256::from_view(portable_part_->finish());
    portable_part_.emplace(Hasher::Kind::Sha256);
    return out;
  }
  const Hash256 out = part_.finish();
  part_.restart();
  return out;
}

Hash256 TwinSha256::finish() {
  if (portable_whole_) return Hash256::from_view(portable_whole_->finish());
  return whole_.finish();
}

}  // namespace hailstone::chunk
