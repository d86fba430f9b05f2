// Any bytes as an aws-chunked body: data and verdict do not depend on where the input is cut.
#include <cstdlib>
#include <string>

#include "s3auth/aws_chunked.h"

namespace {

using namespace hailstone;
using namespace hailstone::s3auth;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Outcome {
  std::string data;
  bool ended = false;
  std::vector<Trailer> trailer;
  bool operator==(const Outcome&) const = default;
};

Outcome decode(const AwsChunkedDecoder::Options& options, ByteView bytes, size_t split) {
  AwsChunkedDecoder decoder(options);
  Outcome out;
  for (ByteView piece : {bytes.substr(0, split), bytes.substr(split)}) {
    while (true) {
      const auto step = decoder.step(piece);
      require(step.consumed <= piece.size());
      piece.remove_prefix(step.consumed);
      out.data += step.data;
      if (step.state != AwsChunkedDecoder::State::Data) break;
    }
  }
  out.ended = decoder.finish().has_value();
  if (!out.ended) return {};
  require(out.data.size() == options.decoded_length);
  out.trailer = decoder.trailer();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  AwsChunkedDecoder::Options options;
  options.mode = data[0] % 3 == 0   ? PayloadMode::SignedChunks
                 : data[0] % 3 == 1 ? PayloadMode::SignedChunksTrailer
                                    : PayloadMode::UnsignedChunksTrailer;
  if (has_trailer(options.mode)) options.trailer = {"x-amz-checksum-crc32"};
  options.decoded_length = data[1];
  const Outcome whole = decode(options, bytes, 0);
  require(decode(options, bytes, data[2] * bytes.size() / 256) == whole);
  require(!whole.ended || !has_signed_chunks(options.mode));  // no input holds a good signature

  ChunkEncoder encoder(options.mode, {});
  std::vector<Trailer> trailer;
  if (has_trailer(options.mode)) trailer = {{"x-amz-checksum-crc32", "AAAAAA=="}};
  const Bytes body = (bytes.empty() ? Bytes() : encoder.chunk(bytes)) + encoder.last(trailer);
  options.decoded_length = bytes.size();
  const Outcome again = decode(options, body, data[2] * body.size() / 256);
  require(again.ended && again.data == bytes && again.trailer == trailer);
  return 0;
}
