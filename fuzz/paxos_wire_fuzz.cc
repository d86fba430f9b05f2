// Feeds any bytes to the decoders of messages, frames and records; what they take must encode to the same bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "paxos/wire.h"

using namespace hailstone;
using namespace hailstone::paxos;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <class T>
void part(ByteView input, Result<T> (*decode_part)(Decoder&)) {
  Decoder in(input);
  const auto value = decode_part(in);
  if (!value) return;
  Bytes again;
  Encoder out(again);
  encode(*value, out);
  require(again == input.substr(0, input.size() - in.rest().size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  if (const auto message = decode(input)) {
    Bytes again;
    encode(*message, again);
    require(again == input && again.size() <= encoded_bytes_max(*message));
  }
  if (const auto frame = decode_frame(input); frame && frame->unknown == 0)
    require(encode_frame(frame->messages) == input);
  part(input, decode_record);
  part(input, decode_hard_state);
  part(input, decode_config);
  part(input, decode_snapshot_meta);
  return 0;
}
