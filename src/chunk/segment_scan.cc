#include "chunk/segment_scan.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/codec.h"

namespace hailstone::chunk {
namespace {

constexpr size_t kWindowBytes = 256u << 10;
constexpr size_t kFarWindowBytes = 4096;  // after a jump over a payload: the next one is probably far as well

/// A buffer that slides over the file.
class Window {
 public:
  Window(const disk::File& file, uint64_t size) : file_(file), size_(size) {}

  /// At least min(n, rest of the file) bytes at `offset`; valid until the next call.
  Result<ByteView> at(uint64_t offset, size_t n) {
    n = std::min<uint64_t>(n, size_ - offset);
    if (offset < start_ || offset + n > start_ + bytes_.size()) TRY_DO(load(offset, n));
    return ByteView(bytes_).substr(offset - start_);
  }

 private:
  Result<void> load(uint64_t offset, size_t n) {
    const bool near = offset >= start_ && offset <= start_ + bytes_.size();
    bytes_.resize(std::min<uint64_t>(std::max(n, near ? kWindowBytes : kFarWindowBytes), size_ - offset));
    start_ = offset;
    TRY(const size_t got, file_.read_at(offset, bytes_));
    bytes_.resize(got);
    return {};
  }

  const disk::File& file_;
  uint64_t size_;
  uint64_t start_ = 0;
  Bytes bytes_;
};

class Scanner {
 public:
  Scanner(const disk::File& file, uint32_t number, uint64_t size)
      : number_(number), size_(size), window_(file, size_) {}

  Result<SegmentScan> run(uint64_t from) {
    uint64_t offset = align_up(from, kRecordAlign);
    while (offset < size_) {
      TRY(const bool found, record(offset));
      if (found) {
        offset = out_.records.back().end();
        zone_open_ = false;
      } else {
        TRY(offset, next_candidate(offset + kRecordAlign));
      }
      if (zone_open_) out_.bad.back().length = std::min(offset, size_) - out_.bad.back().offset;
    }
    return std::move(out_);
  }

 private:
  /// Appends the record at `offset`; false, with the zone opened, when there is none.
  Result<bool> record(uint64_t offset) {
    TRY(const ByteView head, window_.at(offset, kRecordHeaderBytesMax));
    RecordHeader header;
    if (auto decoded = decode_record(head, number_, offset, header); !decoded)
      return bad(offset, {}, decoded.error().message);
    ScannedRecord record{.offset = offset,
                         .span = header.span(),
                         .kind = header.kind,
                         .bytes = header.bytes,
                         .stored = header.stored,
                         .synced_to = header.synced_to,
                         .id = header.id,
                         .erased = {}};
    const uint64_t end = offset + header.payload_at + header.stored;
    if (end > size_) {
      const bool named = header.kind == RecordKind::Chunk;
      return bad(offset, named ? record.entry() : SegmentEntry{},
                 fmt::format("reaches to {}, the file ends at {}", end, size_));
    }
    if (header.kind == RecordKind::Erase) {
      TRY(ByteView payload, window_.at(offset + header.payload_at, header.stored));
      payload = payload.substr(0, header.stored);
      if (payload.size() < header.stored) return bad(offset, {}, "file shrank while it was read");
      if (auto damage = header.damage(payload, 0)) return bad(offset, {}, "erasures: " + *damage);
      for (Decoder in(payload); !in.done();) record.erased.emplace_back(in.hash());
    }
    out_.records.push_back(std::move(record));
    return true;
  }

  bool bad(uint64_t offset, const SegmentEntry& entry, std::string what) {
    if (!zone_open_) out_.bad.push_back({.offset = offset, .length = 0, .entry = entry, .what = std::move(what)});
    zone_open_ = true;
    return false;
  }

  Result<uint64_t> next_candidate(uint64_t offset) {
    while (offset < size_) {
      TRY(const ByteView view, window_.at(offset, kRecordHeaderBytesMax));
      if (view.empty()) break;  // shrank
      size_t i = 0;
      for (; i + 4 <= view.size(); i += kRecordAlign)
        if (looks_like_record(view.substr(i))) return offset + i;
      offset += std::max(i, kRecordAlign);
    }
    return size_;
  }

  const uint32_t number_;
  const uint64_t size_;
  Window window_;
  SegmentScan out_;
  bool zone_open_ = false;
};

}  // namespace

SegmentEntry ScannedRecord::entry() const {
  return {.id = id,
          .offset8 = static_cast<uint32_t>(offset / kRecordAlign),
          .stored = stored,
          .bytes = bytes,
          .span8 = static_cast<uint32_t>(span / kRecordAlign)};
}

Result<SegmentScan> scan_segment(const disk::File& file, uint32_t number, uint64_t from, uint64_t size) {
  return Scanner(file, number, std::min(size, kSegmentFileBytesMax)).run(from);
}

Result<std::optional<std::string>> check_payload(const disk::File& file, uint32_t number, uint64_t offset) {
  Bytes head(kRecordHeaderBytesMax, '\0');
  TRY(const size_t head_bytes, file.read_at(offset, head));
  RecordHeader header;
  if (auto decoded = decode_record(ByteView(head).substr(0, head_bytes), number, offset, header); !decoded)
    return decoded.error().message;
  if (header.kind == RecordKind::Skip) return std::nullopt;
  Bytes payload(header.stored, '\0');
  TRY(const size_t got, file.read_at(offset + header.payload_at, payload));
  if (got < payload.size()) return fmt::format("payload cut short at {} of {} bytes", got, payload.size());
  return header.damage(payload, 0);
}

}  // namespace hailstone::chunk
