#include "s3auth/chunk_chain.h"

#include <fmt/format.h>

#include "s3auth/hmac.h"

namespace hailstone::s3auth {

const Bytes& ChunkChain::advance(std::string_view what, ByteView last_lines) {
  string_to_sign_ = fmt::format("{}-{}\n{}\n{}\n{}\n{}", kV4Algorithm, what, seed_.amz_date, seed_.scope,
                                seed_.signature, last_lines);
  seed_.signature = hmac_sha256(seed_.key.view(), string_to_sign_).hex();
  return seed_.signature;
}

const Bytes& ChunkChain::next(const Hash256& data_digest) {
  static const Bytes kOfNothing = sha256("").hex();  // stands for a chunk's headers, of which there are none
  return advance("PAYLOAD", kOfNothing + "\n" + data_digest.hex());
}

const Bytes& ChunkChain::next(const std::vector<Trailer>& trailer) {
  Bytes lines;
  for (const auto& [name, value] : trailer) lines.append(name).append(":").append(value).append("\n");
  return advance("TRAILER", sha256(lines).hex());
}

Bytes ChunkEncoder::head(ByteView data) {
  Bytes out = fmt::format("{:x}", data.size());
  if (has_signed_chunks(mode_)) out.append(";chunk-signature=").append(chain_.next(sha256(data)));
  return out.append("\r\n");
}

Bytes ChunkEncoder::chunk(ByteView data) { return head(data).append(data).append("\r\n"); }

Bytes ChunkEncoder::last(const std::vector<Trailer>& trailer) {
  Bytes out = head("");
  for (const auto& [name, value] : trailer) out.append(name).append(":").append(value).append("\r\n");
  if (mode_ == PayloadMode::SignedChunksTrailer)
    out.append("x-amz-trailer-signature:").append(chain_.next(trailer)).append("\r\n");
  return out.append("\r\n");
}

}  // namespace hailstone::s3auth
