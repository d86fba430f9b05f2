// Feeds any bytes to the readers of frames and hellos: what they take must be what the writers write.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/codec.h"
#include "base/hash.h"
#include "net/frame.h"

using namespace hailstone;
using namespace hailstone::net;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_all(ByteView input) {
  while (true) {
    FrameView frame;
    const auto length = read_frame(input, frame);
    if (!length || *length == 0) return;
    require(encode_frame(frame.type, frame.channel, frame.payload) == input.substr(0, *length));
    input.remove_prefix(*length);
  }
}

void greet(ByteView input) {
  Hello hello;
  const auto length = read_hello(input, hello);
  if (!length || *length == 0) return;
  require(*length <= kHelloBytesMax);
  Hello again;
  require(read_hello(encode_hello(hello), again).has_value() && again == hello);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  greet(input);
  // With checksums that are right, to get past them.
  if (size < 8) return 0;
  Bytes frame(input.substr(0, 8));
  const uint32_t head_crc = crc32c(frame);
  Encoder(frame).u32(head_crc);
  Encoder(frame).u32(crc32c(input.substr(8), head_crc));
  read_all(frame.append(input.substr(8)));
  Bytes hello = "HAILNODE";
  Encoder(hello).u16(static_cast<uint16_t>(size));
  hello.append(input);
  Encoder(hello).u32(crc32c(hello));
  greet(hello);
  return 0;
}
