// Feeds any bytes to the readers of what nodes ask each other's stores: what they take must be what the writers write.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "chunk/remote_wire.h"
#include "chunk/stored.h"

using namespace hailstone;
using namespace hailstone::chunk;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_requests(ByteView input) {
  if (const auto put = read_put(input)) {
    require(encode_put(put->writer, put->chunks) == input);
    Compressor compressor;
    for (const NamedChunk& each : put->chunks)
      if (const auto bytes = unpack(compressor, each.id, each.chunk)) require(ChunkId(sha256(*bytes)) == each.id);
  }
  if (const auto ids = read_ids(input)) require(encode_ids(ids->ids) == input);
  if (const auto touch = read_touch(input)) require(encode_touch(touch->writer, touch->ids) == input);
  if (const auto list = read_listing(input)) require(encode_listing(*list) == input);
  if (const auto sessions = read_sessions(input)) require(encode_sessions(*sessions) == input);
}

void read_answers(ByteView input) {
  if (const auto stat = read_stat(input)) require(encode_stat(*stat) == input);
  if (const auto failures = read_put_answer(input)) (void)encode_put_answer(*failures);
  for (const size_t count : {1, 2, 100})
    if (const auto answers = read_get_answers(input, count)) require(!answers->empty() && answers->size() <= count);
  for (const size_t count : {0, 1, 9, 1000})
    if (const auto present = read_presence(input, count)) require(present->size() == count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  read_requests(input);
  read_answers(input);
  return 0;
}
