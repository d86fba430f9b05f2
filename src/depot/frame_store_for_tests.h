// A chunk store with places in files: plain chunks and zstd frames in memfds, and damage on demand.
#pragma once

#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <map>
#include <set>

#include "chunk/store.h"

namespace hailstone::depot::testing {

class FrameStore final : public chunk::ChunkStore {
 public:
  std::set<ChunkId> corrupt;  // reads of these fail
  int gets = 0;
  int extents = 0;
  bool without_places = false;  // as a store whose disk has no kernel files

  Result<ChunkId> put(ByteView bytes, chunk::Compress compress) override {
    const ChunkId id(sha256(bytes));
    Stored stored{Bytes(bytes), Bytes(bytes), false, nullptr};
    if (compress == chunk::Compress::Auto) {
      Bytes frame(ZSTD_compressBound(bytes.size()), '\0');
      frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 1));
      if (frame.size() <= bytes.size() - bytes.size() / 8) {
        stored.payload = std::move(frame);
        stored.zstd = true;
      }
    }
    stored.file = std::make_shared<File>();
    stored.file->fd = memfd_create("chunk", 0);
    if (::pwrite(stored.file->fd, stored.payload.data(), stored.payload.size(), kAt) !=
        static_cast<ssize_t>(stored.payload.size()))
      return fail(Code::Io, "memfd");
    chunks_.emplace(id, std::move(stored));
    return id;
  }
  Result<void> sync() override { return {}; }
  Result<chunk::SharedBytes> get(const ChunkId& id) override {
    ++gets;
    TRY(const Stored* stored, require(id));
    return std::make_shared<const Bytes>(stored->bytes);
  }
  Result<chunk::Stat> stat(const ChunkId& id) override {
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return fail(Code::NotFound, "no chunk");
    return chunk::Stat{static_cast<uint32_t>(it->second.bytes.size()), static_cast<uint32_t>(it->second.payload.size()),
                       it->second.zstd};
  }
  Result<chunk::Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override {
    ++extents;
    TRY(const Stored* stored, require(id));
    if (without_places || stored->zstd != (form == Form::StoredFrame)) return fail(Code::Unsupported, "no such place");
    if (form == Form::StoredFrame) return chunk::Extent{stored->file, stored->file->fd, kAt, stored->payload.size()};
    return chunk::Extent{stored->file, stored->file->fd, kAt + offset, length};
  }
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override {
    std::vector<bool> out;
    for (const ChunkId& id : ids) out.push_back(chunks_.contains(id));
    return out;
  }
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override { return has(ids); }
  Result<std::vector<ChunkId>> list(const ChunkId&, size_t) override { return std::vector<ChunkId>(); }
  Result<void> erase(std::span<const ChunkId> ids) override {
    for (const ChunkId& id : ids) chunks_.erase(id);
    return {};
  }
  Stats stats() const override { return {}; }

 private:
  static constexpr int kAt = 64;  // where payloads begin in their files
  struct File {
    int fd = -1;
    ~File() { ::close(fd); }
  };
  struct Stored {
    Bytes bytes;
    Bytes payload;
    bool zstd;
    std::shared_ptr<File> file;
  };
  Result<const Stored*> require(const ChunkId& id) {
    if (corrupt.contains(id)) return fail(Code::Corrupt, "segment 1: record at 64: payload crc");
    const auto it = chunks_.find(id);
    if (it == chunks_.end()) return fail(Code::NotFound, "no chunk");
    return &it->second;
  }
  std::map<ChunkId, Stored> chunks_;
};

}  // namespace hailstone::depot::testing
