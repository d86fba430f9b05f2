// Any bytes as what every format is made of: varints, hashes, base64, percent-encoding, dates, sealed secrets.
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/sealing.h"

using namespace hailstone;

namespace {

/// Every value has one encoding.
void primitives(ByteView bytes) {
  Decoder in(bytes);
  Bytes again;
  Encoder out(again);
  out.varint(in.varint());
  out.svarint(in.svarint());
  out.u16(in.u16());
  out.u32(in.u32());
  out.u64(in.u64());
  out.bytes(in.bytes());
  if (in.ok()) CHECK(again == bytes.substr(0, again.size()) && again.size() + in.rest().size() == bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  primitives(bytes);
  Bytes out;
  if (percent_decode(bytes, out)) CHECK(out.size() <= bytes.size());
  out.clear();
  CHECK(percent_decode(percent_encode_path(bytes), out) && out == bytes);
  Bytes decoded;
  if (from_base64(bytes, decoded)) CHECK(decoded.size() <= bytes.size());
  decoded.clear();
  CHECK(from_base64(to_base64(bytes), decoded) && decoded == bytes);
  if (const auto hash = Hash256::parse_hex(bytes)) CHECK(hash->hex().size() == bytes.size());
  int64_t seconds = 0;
  if (parse_http_date(bytes, seconds)) {
    int64_t again = 0;
    CHECK(parse_http_date(format_http_date(seconds), again) && again == seconds);
  }
  UnixMicros time;
  if (parse_iso8601(bytes, time)) {
    UnixMicros again;
    CHECK(parse_iso8601(format_iso8601(time), again) && again == time);
  }
  const Bytes master(32, 'k');
  CHECK(!open_secret(master, "bound", bytes).has_value());  // no input holds a good tag
  CHECK(printable(bytes).find('\n') == Bytes::npos);
  return 0;
}
