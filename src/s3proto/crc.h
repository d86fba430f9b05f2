// Reflected CRCs as polynomials over GF(2): tables for bytes at a time, and joining two without their bytes. Pure.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace hailstone::s3proto {

inline constexpr uint32_t kCrc32Polynomial = 0xedb88320;              // reflected 04c11db7
inline constexpr uint32_t kCrc32cPolynomial = 0x82f63b78;             // reflected 1edc6f41
inline constexpr uint64_t kCrc64nvmePolynomial = 0x9a6c9329ac4bc9b5;  // reflected ad93d23594c93659

/// a * b mod the polynomial. The highest bit is the coefficient of x^0.
template <std::unsigned_integral T>
constexpr T multiply_mod(T a, T b, T polynomial) {
  T product = 0;
  for (T bit = T{1} << (std::numeric_limits<T>::digits - 1); bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = static_cast<T>((b >> 1) ^ ((b & 1) ? polynomial : 0));
  }
  return product;
}

/// CRC of A followed by B from theirs: crc(A) * x^(8 |B|) + crc(B). The inversions before and after cancel out.
template <std::unsigned_integral T>
constexpr T combine(T crc_a, T crc_b, uint64_t length_b, T polynomial) {
  constexpr T kOne = T{1} << (std::numeric_limits<T>::digits - 1);
  T power = kOne >> 8;  // x^8, squared once for each bit of the length
  T shift = kOne;
  for (; length_b != 0; length_b >>= 1) {
    if (length_b & 1) shift = multiply_mod(shift, power, polynomial);
    power = multiply_mod(power, power, polynomial);
  }
  return multiply_mod(crc_a, shift, polynomial) ^ crc_b;
}

/// table[k][byte]: what a byte that lies k bytes before the end of a run of 8 adds to the register.
template <std::unsigned_integral T>
constexpr std::array<std::array<T, 256>, 8> slice_tables(T polynomial) {
  std::array<std::array<T, 256>, 8> table{};
  for (size_t byte = 0; byte < 256; ++byte) {
    T crc = static_cast<T>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = static_cast<T>((crc >> 1) ^ ((crc & 1) ? polynomial : 0));
    table[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t byte = 0; byte < 256; ++byte)
      table[k][byte] = static_cast<T>((table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff]);
  return table;
}

}  // namespace hailstone::s3proto
