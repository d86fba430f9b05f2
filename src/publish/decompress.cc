#include "publish/decompress.h"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <memory>
#include <utility>

namespace hailstone::publish {
namespace {

constexpr size_t kOutputBytes = 256u << 10;
constexpr uint64_t kDecoderMemoryMax = 256u << 20;  // xz -9 asks for 65 MiB

/// Decodes from `in`, taking bytes off its front, into `out` (kOutputBytes); returns how many came out.
class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  virtual Result<size_t> step(ByteView& in, char* out) = 0;
  /// Whether the stream may end here.
  virtual bool complete() const = 0;
};

std::unexpected<Error> malformed(std::string_view what, std::string_view reason) {
  return fail(Code::Invalid, fmt::format("malformed {} stream: {}", what, reason));
}

class PlainDecoder final : public StreamDecoder {
 public:
  Result<size_t> step(ByteView& in, char* out) override {
    const size_t n = in.copy(out, kOutputBytes);
    in.remove_prefix(n);
    return n;
  }
  bool complete() const override { return true; }
};

/// One or more gzip members.
class GzipDecoder final : public StreamDecoder {
 public:
  GzipDecoder() { inflateInit2(&stream_, 15 + 16); }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  Result<size_t> step(ByteView& in, char* out) override {
    if (ended_) {
      if (in.empty()) return 0;
      inflateReset(&stream_);
      ended_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = kOutputBytes;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    in.remove_prefix(in.size() - stream_.avail_in);
    if (code == Z_STREAM_END)
      ended_ = true;
    else if (code != Z_OK && code != Z_BUF_ERROR)
      return malformed("gzip", stream_.msg ? stream_.msg : "bad data");
    return kOutputBytes - stream_.avail_out;
  }
  bool complete() const override { return ended_; }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

class XzDecoder final : public StreamDecoder {
 public:
  XzDecoder() { ready_ = lzma_stream_decoder(&stream_, kDecoderMemoryMax, 0) == LZMA_OK; }
  ~XzDecoder() override { lzma_end(&stream_); }
  Result<size_t> step(ByteView& in, char* out) override {
    if (!ready_) return fail(Code::Exhausted, "no memory for an xz decoder");
    if (ended_) {
      if (in.empty()) return 0;
      return malformed("xz", "bytes after its end");
    }
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out);
    stream_.avail_out = kOutputBytes;
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    in.remove_prefix(in.size() - stream_.avail_in);
    if (code == LZMA_STREAM_END)
      ended_ = true;
    else if (code != LZMA_OK && code != LZMA_BUF_ERROR)
      return malformed("xz", fmt::format("liblzma code {}", static_cast<int>(code)));
    return kOutputBytes - stream_.avail_out;
  }
  bool complete() const override { return ended_; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false, ended_ = false;
};

class ZstdDecoder final : public StreamDecoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {}
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;
  Result<size_t> step(ByteView& in, char* out) override {
    if (context_ == nullptr) return fail(Code::Exhausted, "no memory for a zstd decoder");
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out, kOutputBytes, 0};
    const size_t left = ZSTD_decompressStream(context_, &output, &input);
    if (ZSTD_isError(left)) return malformed("zstd", ZSTD_getErrorName(left));
    in.remove_prefix(input.pos);
    if (input.pos > 0 || output.pos > 0) ended_ = left == 0;
    return output.pos;
  }
  bool complete() const override { return ended_; }

 private:
  ZSTD_DCtx* context_;
  bool ended_ = false;
};

std::unique_ptr<StreamDecoder> make_decoder(Coding coding) {
  switch (coding) {
    case Coding::Plain: return std::make_unique<PlainDecoder>();
    case Coding::Gzip: return std::make_unique<GzipDecoder>();
    case Coding::Xz: return std::make_unique<XzDecoder>();
    case Coding::Zstd: return std::make_unique<ZstdDecoder>();
  }
  std::unreachable();
}

struct Suffix {
  ByteView text;
  std::optional<Coding> coding;
};
constexpr std::array<Suffix, 6> kSuffixes = {{{".gz", Coding::Gzip},
                                              {".xz", Coding::Xz},
                                              {".zst", Coding::Zstd},
                                              {".bz2", std::nullopt},
                                              {".lzma", std::nullopt},
                                              {".lz4", std::nullopt}}};

}  // namespace

std::optional<Coding> coding_of(ByteView name) {
  for (const Suffix& suffix : kSuffixes)
    if (name.ends_with(suffix.text)) return suffix.coding;
  return Coding::Plain;
}

ByteView without_coding(ByteView name) {
  for (const Suffix& suffix : kSuffixes)
    if (name.ends_with(suffix.text)) return name.substr(0, name.size() - suffix.text.size());
  return name;
}

Result<void> decompress(Coding coding, const ByteSource& source, const ByteSink& sink, uint64_t bytes_max) {
  const auto decoder = make_decoder(coding);
  const auto out = std::make_unique<std::array<char, kOutputBytes>>();
  uint64_t total = 0;
  for (;;) {
    TRY(const Bytes piece, source());
    ByteView in = piece;
    for (;;) {
      const size_t before = in.size();
      TRY(const size_t n, decoder->step(in, out->data()));
      total += n;
      if (total > bytes_max) return fail(Code::Invalid, fmt::format("more than {} bytes when decompressed", bytes_max));
      if (n > 0) TRY_DO(sink(ByteView(out->data(), n)));
      if (n == 0 && (in.empty() || in.size() == before)) break;
    }
    if (!in.empty()) return malformed("compressed", "the decoder does not advance");
    if (piece.empty()) break;
  }
  if (!decoder->complete()) return fail(Code::Invalid, "the compressed stream is cut short");
  return {};
}

}  // namespace hailstone::publish
