// Feeds any bytes to the decoders of the collector's database: what is accepted is written again as the same bytes.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "collect/record.h"

using namespace hailstone;
using namespace hailstone::collect;

namespace {

template <class T>
void record(ByteView bytes) {
  if (const auto decoded = T::decode(bytes)) CHECK(decoded->encode() == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  record<Record>(bytes);
  record<Work>(bytes);
  record<Meta>(bytes);
  if (const auto id = keys::chunk_of_record(bytes)) CHECK(keys::record(*id).substr(1) == bytes.substr(1));
  if (const auto trash = keys::decode_trash(bytes))
    CHECK(keys::trash(trash->first, trash->second).substr(1) == bytes.substr(1));
  if (const auto root = keys::decode_root(bytes)) CHECK(keys::root(*root).substr(1) == bytes.substr(1));
  return 0;
}
