// Primitives of every disk and wire format here: little-endian integers, varints, length-prefixed bytes.
#pragma once

#include <concepts>
#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace hailstone {

/// Appends to a buffer it does not own.
class Encoder {
 public:
  explicit Encoder(Bytes& out) : out_(out) {}
  void u8(uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(uint16_t v) { fixed(v); }
  void u32(uint32_t v) { fixed(v); }
  void u64(uint64_t v) { fixed(v); }
  /// LEB128, at most 10 bytes.
  void varint(uint64_t v) {
    char bytes[10];
    size_t size = 0;
    for (; v >= 0x80; v >>= 7) bytes[size++] = static_cast<char>(v | 0x80);
    bytes[size++] = static_cast<char>(v);
    out_.append(bytes, size);
  }
  /// Zig-zag, then varint.
  void svarint(int64_t v) { varint(static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63)); }
  void raw(ByteView bytes) { out_.append(bytes); }
  /// varint length, then the bytes.
  void bytes(ByteView b) {
    varint(b.size());
    raw(b);
  }
  void hash(const Hash256& h) { raw(h.view()); }

 private:
  template <std::unsigned_integral T>
  void fixed(T v) {
    char bytes[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<char>(v >> (8 * i));
    out_.append(bytes, sizeof(T));
  }
  Bytes& out_;
};

/// Reads from a borrowed buffer. After the first short or malformed field every read yields zero and ok() is false,
/// so a decoder reads all its fields and asks once.
class Decoder {
 public:
  explicit Decoder(ByteView in) : in_(in) {}
  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  uint64_t varint() {
    uint64_t value = 0;
    for (size_t i = 0; ok_ && i < in_.size() && i < 10; ++i) {
      const auto byte = static_cast<uint8_t>(in_[i]);
      if (i == 9 && byte > 1) break;  // would overflow 64 bits
      value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if (byte & 0x80) continue;
      if (byte == 0 && i > 0) break;  // not the shortest form: every value has one encoding
      in_.remove_prefix(i + 1);
      return value;
    }
    ok_ = false;
    return 0;
  }
  int64_t svarint() {
    const uint64_t v = varint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }
  ByteView raw(size_t n) {
    if (!ok_ || n > in_.size()) {
      ok_ = false;
      return {};
    }
    ByteView out = in_.substr(0, n);
    in_.remove_prefix(n);
    return out;
  }
  ByteView bytes() { return raw(varint()); }
  Hash256 hash() {
    ByteView v = raw(32);
    return ok_ ? Hash256::from_view(v) : Hash256{};
  }

  bool ok() const { return ok_; }
  /// All fields were there and nothing follows them.
  bool done() const { return ok_ && in_.empty(); }
  ByteView rest() const { return in_; }
  void poison() { ok_ = false; }

 private:
  template <std::unsigned_integral T>
  T fixed() {
    ByteView v = raw(sizeof(T));
    T out = 0;
    for (size_t i = 0; i < v.size(); ++i)
      out |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(v[i])) << (8 * i));
    return out;
  }
  ByteView in_;
  bool ok_ = true;
};

}  // namespace hailstone
