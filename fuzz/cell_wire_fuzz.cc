// Decoder of the cell's messages: whatever is read is written again as the same bytes.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cell/wire.h"

using namespace hailstone;
using namespace hailstone::cell;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = wire::decode_client_message(bytes)) CHECK(wire::encode(*message) == bytes);
  if (const auto message = wire::decode_member_message(bytes)) CHECK(wire::encode(*message) == bytes);
  if (const auto message = wire::decode_peer_message(bytes)) CHECK(wire::encode(*message) == bytes);
  return 0;
}
