// Randomness of a simulation: one seed, an independent stream per subject, so that a new fault does not shift the
// others.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace hailstone::sim {

/// xoshiro256** seeded by splitmix64. Values are the same on every platform.
class Random {
 public:
  Random(uint64_t seed, std::string_view stream) {
    for (const char c : stream) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
      z = (z ^ z >> 27) * 0x94d049bb133111eb;
      word = z ^ z >> 31;
    }
  }
  uint64_t next() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  /// 0 .. n-1; n > 0.
  uint64_t below(uint64_t n) { return next() % n; }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double p) { return unit() < p; }
  int64_t exponential(int64_t mean) {
    return static_cast<int64_t>(-std::log(1.0 - unit()) * static_cast<double>(mean));
  }

 private:
  static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }
  uint64_t state_[4];
};

}  // namespace hailstone::sim
