#include "chunk/records.h"

#include <fmt/core.h>

#include <algorithm>

namespace hailstone::chunk {
namespace {

constexpr size_t kSmallBytes = 20u << 10;  // records up to this are read at once, header and payload

std::unexpected<Error> wrong_name(const Hash256& have, const ChunkId& want) {
  return fail(Code::Corrupt, fmt::format("sha256 {} != {}", have.brief(), want.brief()));
}

std::unexpected<Error> cut_short(size_t have, size_t want) {
  return fail(Code::Corrupt, fmt::format("payload cut short at {} of {} bytes", have, want));
}

}  // namespace

class Records::Scratch {
 public:
  explicit Scratch(const Records& owner) : owner_(owner) {
    std::lock_guard lock(owner_.scratch_mutex_);
    if (owner_.scratch_.empty()) return;
    bytes_ = std::move(owner_.scratch_.back());
    owner_.scratch_.pop_back();
  }
  ~Scratch() {
    std::lock_guard lock(owner_.scratch_mutex_);
    if (bytes_ && owner_.scratch_.size() < 64) owner_.scratch_.push_back(std::move(bytes_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::span<char> span(size_t n) {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<char[]>(kScratchBytes);
    return {bytes_.get(), n};
  }

 private:
  const Records& owner_;
  std::unique_ptr<char[]> bytes_;
};

Result<size_t> Records::read(Location at, uint64_t skip, std::span<char> out) const {
  const uint64_t offset = at.offset() + skip;
  if (writer_ != nullptr && writer_->maybe_buffered(at.segment(), offset)) {
    if (const auto bytes = writer_->read_buffered(at.segment(), offset, out.size())) {
      std::copy(bytes->begin(), bytes->end(), out.begin());
      return bytes->size();
    }
  }
  auto file = files_.open(at.segment());
  if (!file && file.error().code == Code::NotFound) return fail(Code::Corrupt, "its file is missing");
  if (!file) return std::unexpected(std::move(file).error());
  auto got = (*file)->read_at(offset, out);
  if (got || got.error().code != Code::Io) return got;
  // A device that still reads the header of the file has lost these bytes; any other has failed as a whole.
  char probe[kSegmentHeaderBytes];
  if ((*file)->read_at(0, probe)) return fail(Code::Corrupt, got.error().message);
  return got;
}

Result<RecordHeader> Records::header(Location at) const {
  char head[kRecordHeaderBytesMax];
  const size_t want = std::min<size_t>(sizeof head, at.span_bound());
  TRY(const size_t got, read(at, 0, std::span(head, want)));
  RecordHeader header;
  TRY_DO(decode_record({head, got}, at.segment(), at.offset(), header));
  if (header.kind != RecordKind::Chunk) return fail(Code::Corrupt, "no chunk in this record");
  return header;
}

Result<SharedBytes> Records::load(Location at, const ChunkId* want) const {
  return at.span_bound() <= kSmallBytes ? load_small(at, want) : load_large(at, want);
}

Result<SharedBytes> Records::load_small(Location at, const ChunkId* want) const {
  char record[kSmallBytes];
  TRY(const size_t got, read(at, 0, std::span(record, at.span_bound())));
  RecordHeader header;
  TRY_DO(decode_record({record, got}, at.segment(), at.offset(), header));
  if (want != nullptr && header.id != *want) return SharedBytes();
  if (header.kind != RecordKind::Chunk) return fail(Code::Corrupt, "no chunk in this record");
  if (size_t{header.payload_at} + header.stored > got)
    return cut_short(got - std::min<size_t>(got, header.payload_at), header.stored);
  const ByteView payload(record + header.payload_at, header.stored);
  if (auto damage = header.damage(payload, 0)) return fail(Code::Corrupt, std::move(*damage));
  if (!header.zstd) {
    if (!at.is(Location::kVerified))
      if (const Hash256 hash = sha256(payload); hash != header.id) return wrong_name(hash, header.id);
    return std::make_shared<const Bytes>(payload);
  }
  return unpack(at, header, payload);
}

Result<SharedBytes> Records::load_large(Location at, const ChunkId* want) const {
  TRY(const RecordHeader head, header(at));
  if (want != nullptr && head.id != *want) return SharedBytes();
  Bytes payload;
  Result<size_t> got = 0;
  payload.resize_and_overwrite(head.stored, [&](char* to, size_t room) {
    got = read(at, head.payload_at, {to, room});
    return got ? *got : 0;
  });
  if (!got) return std::unexpected(std::move(got).error());
  if (*got < head.stored) return cut_short(*got, head.stored);
  if (auto damage = head.damage(payload, 0)) return fail(Code::Corrupt, std::move(*damage));
  if (head.zstd) return unpack(at, head, payload);
  if (!at.is(Location::kVerified))
    if (const Hash256 hash = sha256(payload); hash != head.id) return wrong_name(hash, head.id);
  return std::make_shared<const Bytes>(std::move(payload));
}

Result<std::pair<RecordHeader, Bytes>> Records::load_raw(Location at) const {
  TRY(const RecordHeader head, header(at));
  Bytes payload(head.stored, '\0');
  TRY(const size_t got, read(at, head.payload_at, payload));
  if (got < head.stored) return cut_short(got, head.stored);
  if (auto damage = head.damage(payload, 0)) return fail(Code::Corrupt, std::move(*damage));
  if (at.is(Location::kVerified)) return std::pair(head, std::move(payload));
  if (head.zstd) {
    TRY_DO(unpack(at, head, payload));
  } else if (const Hash256 hash = sha256(payload); hash != head.id) {
    return wrong_name(hash, head.id);
  }
  return std::pair(head, std::move(payload));
}

Result<SharedBytes> Records::unpack(Location at, const RecordHeader& header, ByteView payload) const {
  TRY(Bytes bytes, compressor_.decompress(payload, header.bytes));
  if (!at.is(Location::kVerified))
    if (const Hash256 hash = sha256(bytes); hash != header.id) return wrong_name(hash, header.id);
  return std::make_shared<const Bytes>(std::move(bytes));
}

/// Blocks first..last of the payload, verified, some at a time.
template <class F>
Result<void> Records::each_part(Location at, const RecordHeader& header, size_t first, size_t last, F&& visit) const {
  Scratch scratch(*this);
  constexpr size_t kStep = kScratchBytes / kBlockBytes;
  for (size_t block = first; block <= last; block += kStep) {
    const uint64_t from = block * kBlockBytes;
    const uint64_t to = std::min<uint64_t>(header.stored, std::min(block + kStep, last + 1) * kBlockBytes);
    const std::span<char> out = scratch.span(to - from);
    TRY(const size_t got, read(at, header.payload_at + from, out));
    if (got < out.size()) return cut_short(from + got, header.stored);
    const ByteView part(out.data(), out.size());
    if (auto damage = header.damage(part, block)) return fail(Code::Corrupt, std::move(*damage));
    visit(part);
  }
  return {};
}

Result<void> Records::check_blocks(Location at, const RecordHeader& header, uint64_t offset, uint64_t length) const {
  if (length == 0) return {};
  return each_part(at, header, offset / kBlockBytes, (offset + length - 1) / kBlockBytes, [](ByteView) {});
}

Result<void> Records::check_name(Location at, const RecordHeader& header) const {
  if (header.zstd) {
    TRY_DO(load(at, &header.id));
    return {};
  }
  Hasher hasher(Hasher::Kind::Sha256);
  TRY_DO(each_part(at, header, 0, header.blocks - 1, [&](ByteView part) { hasher.update(part); }));
  const Hash256 hash = Hash256::from_view(hasher.finish());
  if (hash != header.id) return wrong_name(hash, header.id);
  return {};
}

Result<std::shared_ptr<disk::File>> Records::settle(Location at) {
  if (writer_ != nullptr && writer_->maybe_buffered(at.segment(), at.offset())) TRY_DO(writer_->flush());
  return files_.open(at.segment());
}

}  // namespace hailstone::chunk
