// Any bytes as a continuation token and as a kept list of parts: what is accepted is written again as the same.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "s3/listing.h"
#include "s3/objects.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone;
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const Bytes& text : {Bytes(bytes), to_base64(bytes)}) {
    const auto token = s3::ContinuationToken::decode(text);
    if (!token) continue;
    const auto again = s3::ContinuationToken::decode(token->encode());
    CHECK(again && again->release == token->release && again->after == token->after);
  }
  static const auto chunks = chunk::make_memory_store();
  volume::ObjectFacts facts;
  facts.part_count = data[0];
  facts.parts.bytes = bytes.size();
  facts.parts.inlined = bytes;
  if (const auto parts = s3::read_parts(*chunks, facts)) {
    CHECK(parts->size() == facts.part_count);
    if (facts.part_count > 0) CHECK(s3::encode_parts(*parts) == bytes);
  }
  return 0;
}
