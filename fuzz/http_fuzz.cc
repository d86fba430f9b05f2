// Any bytes as requests, responses, chunked bodies and field values; a head split anywhere must mean the same.
#include <cstdlib>
#include <string>

#include "http/accept.h"
#include "http/body_decoder.h"
#include "http/conditional.h"
#include "http/mime.h"
#include "http/parser.h"
#include "http/range.h"
#include "http/url.h"

namespace {

using namespace hailstone;
using namespace hailstone::http;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_request(ByteView bytes, size_t split) {
  RequestParser whole_parser({}), split_parser({});
  RequestHead head, again;
  const Parsed whole = whole_parser.parse(bytes, head);
  Parsed parts = split_parser.parse(bytes.substr(0, split), again);
  if (parts.state == Parsed::State::NeedMore) parts = split_parser.parse(bytes, again);
  require(parts.state == whole.state);
  if (whole.state != Parsed::State::Done) return;
  require(parts.head_bytes == whole.head_bytes && head.path == again.path && head.fields.size() == again.fields.size());
  require(!(head.chunked && head.content_length));
  for (const auto& f : head.fields) {
    require(!f.name.empty());
    for (char c : f.value) require(c != '\r' && c != '\n' && c != '\0');
  }
  (void)head.parameter("list-type");
  (void)evaluate_conditions(head, {true, "\"a\"", 0});
  (void)range_applies(head, {true, "\"a\"", 0});
  (void)resolve_ranges(head.field("range"), 1000);
  (void)choose_coding(head.field("accept-encoding"), {Coding::Zstd, Coding::Gzip});
  (void)choose_media(head.field("accept"));
  (void)content_type_of(head.path);
}

// Data does not depend on where the input is cut.
void check_chunked(ByteView bytes, size_t split) {
  std::string data[2];
  bool rejected[2] = {};
  for (int pass = 0; pass < 2; ++pass) {
    BodyDecoder decoder = BodyDecoder::chunked();
    for (ByteView piece : {bytes.substr(0, pass == 0 ? 0 : split), bytes.substr(pass == 0 ? 0 : split)}) {
      while (true) {
        const BodyDecoder::Step step = decoder.step(piece);
        require(step.consumed <= piece.size());
        piece.remove_prefix(step.consumed);
        data[pass] += step.data;
        rejected[pass] = rejected[pass] || step.state == BodyDecoder::State::Rejected;
        if (step.state != BodyDecoder::State::Data) break;
      }
    }
  }
  require(data[0] == data[1] && rejected[0] == rejected[1]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t split = bytes.empty() ? 0 : data[0] * bytes.size() / 256;
  check_request(bytes, split);
  check_chunked(bytes, split);
  ResponseParser parser({});
  ResponseHead head;
  (void)parser.parse(bytes, head);
  (void)BaseUrl::parse(bytes);
  (void)resolve_ranges(bytes, split);
  (void)etag_listed(bytes, "\"a\"", Compare::Weak);
  (void)choose_coding(bytes, {Coding::Zstd, Coding::Gzip});
  return 0;
}
