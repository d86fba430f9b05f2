// Feeds the decoders of forwarded commands with arbitrary bytes: what they take, they give back byte for byte.
#include <cstdlib>

#include "replica/forward_wire.h"

using namespace hailstone;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const auto message = replica::decode_forward_message(bytes);
  if (message && replica::encode(*message) != bytes) abort();
  const auto unwrapped = replica::unwrap(bytes);
  if (unwrapped && replica::wrap(unwrapped->origin, unwrapped->command) != bytes) abort();
  return 0;
}
