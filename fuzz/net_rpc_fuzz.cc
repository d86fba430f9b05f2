// Feeds any bytes to the reader of requests and responses: what it takes must be what the writer writes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "net/rpc_frame.h"

using namespace hailstone;
using namespace hailstone::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  const auto frame = read_rpc(input);
  if (!frame) return 0;
  Bytes again(frame->body);
  append_trailer(again, frame->trailer);
  if (again != input) std::abort();
  if (frame->trailer.kind != RpcKind::Refusal) return 0;
  const Error error = read_refusal(frame->body);
  if (code_of_wire(wire_number(error.code)) != error.code) std::abort();
  const Error twice = read_refusal(encode_refusal(error));
  if (twice.code != error.code) std::abort();
  return 0;
}
