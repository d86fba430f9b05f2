// Decoding of fields that several formats of the cell share: poisoned where a value has no meaning.
#pragma once

#include <limits>

#include "base/codec.h"

namespace hailstone::cell {

inline Bytes bytes_of(Decoder& in) { return Bytes(in.bytes()); }

inline bool flag_of(Decoder& in) {
  const uint8_t value = in.u8();
  if (value > 1) in.poison();
  return value == 1;
}

/// A count of items of at least one byte each: never more than what is left to read.
inline uint64_t count_of(Decoder& in) {
  const uint64_t count = in.varint();
  if (count > in.rest().size()) in.poison();
  return in.ok() ? count : 0;
}

inline uint32_t u32_of(Decoder& in) {
  const uint64_t value = in.varint();
  if (value > std::numeric_limits<uint32_t>::max()) in.poison();
  return in.ok() ? static_cast<uint32_t>(value) : 0;
}

/// An enum whose values are 1..last.
template <class E>
E enum_of(Decoder& in, E last) {
  const uint8_t value = in.u8();
  if (value < 1 || value > static_cast<uint8_t>(last)) in.poison();
  return in.ok() ? static_cast<E>(value) : last;
}

template <class E>
void put_enum(auto& out, E value) {
  out.u8(static_cast<uint8_t>(value));
}

template <class IdType>
IdType id_of(Decoder& in) {
  return IdType(in.varint());
}

}  // namespace hailstone::cell
