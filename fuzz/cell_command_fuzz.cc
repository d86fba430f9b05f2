// Decoders of the cell's commands, replies and records: whatever is read is written again as the same bytes.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cell/access.h"
#include "cell/command.h"
#include "cell/path.h"
#include "cell/reply.h"

using namespace hailstone;
using namespace hailstone::cell;

namespace {

template <class T>
void round_trip(ByteView bytes) {
  const auto decoded = T::decode(bytes);
  if (decoded) CHECK(decoded->encode() == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 9) {
    case 0: round_trip<Command>(bytes); break;
    case 1: round_trip<Reply>(bytes); break;
    case 2: round_trip<Counters>(bytes); break;
    case 3: round_trip<LockRecord>(bytes); break;
    case 4: round_trip<SessionRecord>(bytes); break;
    case 5: {
      const auto events = decode_events(bytes);
      if (events) CHECK(encode_events(*events) == bytes && *count_events(bytes) == events->size());
      break;
    }
    case 6: {
      const auto rules = decode_rules(bytes);
      if (rules) CHECK(encode_rules(*rules) == bytes);
      break;
    }
    case 7: {
      Decoder in(bytes);
      const Node node = decode_node(in);
      Bytes again;
      Encoder out(again);
      encode(out, node);
      if (in.done()) CHECK(again == bytes);
      break;
    }
    default:
      if (validate_path(bytes)) {
        CHECK(path_of_key(path_key(bytes)) == bytes);
        CHECK(bytes == "/" || covers(parent_of(bytes), bytes));
      }
  }
  return 0;
}
