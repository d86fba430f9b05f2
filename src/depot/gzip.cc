#include "depot/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

namespace hailstone::depot {
namespace {

constexpr int kLevel = 5;
constexpr int kGzipWindow = 15 + 16;  // 32 KiB, with a gzip header instead of zlib's
constexpr int kMemory = 8;

}  // namespace

Result<Bytes> gzip(ByteView bytes) {
  z_stream stream{};
  if (bytes.size() > UINT32_MAX) return fail(Code::Invalid, fmt::format("gzip: {} bytes are too many", bytes.size()));
  if (const int code = deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY);
      code != Z_OK)
    return fail(Code::Exhausted, fmt::format("gzip: zlib says {}", code));
  Bytes out(deflateBound(&stream, bytes.size()), '\0');
  // zlib takes a pointer to non-const and only reads through it.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return fail(Code::Exhausted, fmt::format("gzip: zlib says {}", code));
  return out;
}

bool is_compressible(std::string_view content_type) {
  Bytes type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  std::ranges::transform(type, type.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  if (type.starts_with("text/") || type.ends_with("+xml") || type.ends_with("+json")) return true;
  constexpr std::string_view kTypes[] = {"application/json",         "application/javascript", "application/xml",
                                         "application/x-ndjson",     "application/toml",       "application/yaml",
                                         "application/wasm",         "application/x-sh",       "application/manifest",
                                         "application/pgp-signature"};
  return std::ranges::find(kTypes, type) != std::end(kTypes);
}

}  // namespace hailstone::depot
