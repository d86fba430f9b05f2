#include "chunk/compression.h"

#include <fmt/core.h>
#include <zstd.h>

#include <new>

#include "base/check.h"

namespace hailstone::chunk {
namespace {
constexpr int kLevel = 1;
constexpr size_t kFreeMax = 64;
}  // namespace

struct Compressor::Contexts {
  ZSTD_CCtx* in = ZSTD_createCCtx();
  ZSTD_DCtx* out = ZSTD_createDCtx();
  Contexts() {
    if (in == nullptr || out == nullptr) throw std::bad_alloc();
  }
  ~Contexts() {
    ZSTD_freeCCtx(in);
    ZSTD_freeDCtx(out);
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
};

/// Contexts for the length of one call.
class Compressor::Lease {
 public:
  explicit Lease(Compressor& owner) : owner_(owner), contexts_(owner.take()) {}
  ~Lease() {
    std::lock_guard lock(owner_.mutex_);
    if (owner_.free_.size() < kFreeMax) owner_.free_.push_back(std::move(contexts_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Contexts* operator->() const { return contexts_.get(); }

 private:
  Compressor& owner_;
  std::unique_ptr<Contexts> contexts_;
};

Compressor::Compressor() = default;
Compressor::~Compressor() = default;

std::unique_ptr<Compressor::Contexts> Compressor::take() {
  {
    std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      auto out = std::move(free_.back());
      free_.pop_back();
      return out;
    }
  }
  return std::make_unique<Contexts>();
}

std::optional<Bytes> Compressor::compress(ByteView bytes) {
  const size_t worth = bytes.size() - bytes.size() / 8;
  if (worth == bytes.size()) return std::nullopt;
  Lease contexts(*this);
  Bytes out;
  size_t got = 0;
  // Room for the most that is worth keeping: zstd stops when it runs out.
  out.resize_and_overwrite(worth, [&](char* to, size_t room) {
    got = ZSTD_compressCCtx(contexts->in, to, room, bytes.data(), bytes.size(), kLevel);
    return ZSTD_isError(got) ? 0 : got;
  });
  if (ZSTD_isError(got)) return std::nullopt;
  return out;
}

Result<Bytes> Compressor::decompress(ByteView frame, size_t size) {
  Lease contexts(*this);
  Bytes out;
  size_t got = 0;
  out.resize_and_overwrite(size, [&](char* to, size_t room) {
    got = ZSTD_decompressDCtx(contexts->out, to, room, frame.data(), frame.size());
    return ZSTD_isError(got) ? 0 : got;
  });
  if (ZSTD_isError(got)) return fail(Code::Corrupt, fmt::format("zstd frame: {}", ZSTD_getErrorName(got)));
  if (got != size) return fail(Code::Corrupt, fmt::format("zstd frame of {} bytes, {} expected", got, size));
  return out;
}

}  // namespace hailstone::chunk
