// Feeds the decoder of snapshot pieces with arbitrary bytes: what it takes, it gives back byte for byte.
#include <cstdlib>

#include "replica/snapshot_wire.h"

using namespace hailstone;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const auto message = replica::decode_snapshot_message(bytes);
  if (message && replica::encode(*message) != bytes) abort();
  return 0;
}
