#include "log/segment.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"
#include "base/hash.h"

namespace hailstone::log {
namespace {

constexpr ByteView kSegmentMagic = "HSLOGSEG";
constexpr uint32_t kBatchMagic = 0x54424c48;  // "HLBT"
constexpr size_t kBatchHeaderBytes = 36;
constexpr size_t kSegmentHeaderBytes = 40;

// A stamp is never zero, so a sector that reads as zeros was never written.
constexpr uint16_t kStampWritten = 0x8000;
constexpr uint16_t kStampFirst = 0x4000;  // first sector of a batch: payload cannot pretend to be a header
constexpr uint16_t kStampBatchMask = 0x3fff;

struct BatchHeader {
  uint64_t segment = 0;
  uint64_t batch = 0;
  uint32_t payload_bytes = 0;
  uint32_t payload_crc = 0;
};

void encode_batch_header(Bytes& out, const BatchHeader& header) {
  Bytes covered;
  Encoder body(covered);
  body.u64(header.segment);
  body.u64(header.batch);
  body.u32(header.payload_bytes);
  body.u32(header.payload_crc);
  body.u32(0);  // reserved
  Encoder whole(out);
  whole.u32(kBatchMagic);
  whole.u32(crc32c(covered));
  whole.raw(covered);
}

/// False unless the header is intact.
bool decode_batch_header(ByteView in, BatchHeader& out) {
  Decoder decoder(in);
  const uint32_t magic = decoder.u32();
  const uint32_t crc = decoder.u32();
  Decoder body(decoder.raw(kBatchHeaderBytes - 8));
  if (!decoder.ok() || magic != kBatchMagic) return false;
  if (crc32c(body.rest()) != crc) return false;
  out.segment = body.u64();
  out.batch = body.u64();
  out.payload_bytes = body.u32();
  out.payload_crc = body.u32();
  return body.u32() == 0;
}

bool all_zero(ByteView bytes) { return bytes.find_first_not_of('\0') == ByteView::npos; }

uint16_t stamp_of(ByteView sector) {
  Decoder decoder(sector.substr(kSectorDataBytes));
  return decoder.u16();
}

/// The data bytes of the sectors in `area`, stamps left out.
Bytes without_stamps(ByteView area, size_t bytes) {
  Bytes out;
  out.reserve(bytes);
  for (size_t at = 0; out.size() < bytes; at += kSectorBytes) {
    out.append(area.substr(at, std::min(kSectorDataBytes, bytes - out.size())));
  }
  return out;
}

class Scanner {
 public:
  Scanner(ByteView image, const RecordVisitor& visit) : image_(image), visit_(visit) {}

  Result<Scan> run() {
    TRY(scan_.header, decode_segment_header(image_.substr(0, kBlockBytes)));
    scan_.next_batch = scan_.header.first_batch;
    scan_.end_offset = scan_.last_offset = kBlockBytes;
    scan_.last_slot = scan_.header.slot_before;
    image_ = image_.substr(0, image_.size() / kBlockBytes * kBlockBytes);
    while (true) {
      TRY(const bool more, intact_batch());
      if (!more) break;
    }
    judge();
    return std::move(scan_);
  }

 private:
  ByteView rest() const { return image_.substr(std::min<uint64_t>(scan_.end_offset, image_.size())); }

  /// Visits the batch at end_offset and moves past it; false when there is none.
  Result<bool> intact_batch() {
    const ByteView area = rest();
    if (!decode_batch_header(area.substr(0, kSectorDataBytes), header_) || header_.batch != scan_.next_batch)
      return false;
    auto batch = read_batch(area, scan_.header.segment, [&](const Record& record, uint64_t) -> Result<void> {
      if (record.slot != scan_.last_slot.next())
        return fail(Code::Corrupt, fmt::format("slot {} follows slot {}", record.slot.value, scan_.last_slot.value));
      scan_.last_slot = record.slot;
      return visit_(record, scan_.end_offset);
    });
    if (!batch)
      return std::unexpected(
          std::move(batch).error().within(fmt::format("batch {} at {}", scan_.next_batch, scan_.end_offset)));
    if (!*batch) return false;
    scan_.last_offset = scan_.end_offset;
    scan_.end_offset += (*batch)->bytes;
    ++scan_.next_batch;
    return true;
  }

  void ends(Ending ending, std::string reason) {
    scan_.ending = ending;
    scan_.reason = fmt::format("batch {} at {}: {}", scan_.next_batch, scan_.end_offset, reason);
  }

  /// A batch is written only after the one before it is durable, so a crash can leave at most one that is incomplete,
  /// and nothing after it; and an incomplete one lacks at least one sector, which still reads as zeros.
  void judge() {
    const ByteView area = rest();
    const size_t last_byte = area.find_last_not_of('\0');
    if (last_byte == ByteView::npos) return;
    scan_.dirty_offset = scan_.end_offset + (last_byte / kSectorBytes + 1) * kSectorBytes;
    if (later_batch(area)) return;
    const ByteView first = area.substr(0, kSectorBytes);
    if (all_zero(first)) return ends(Ending::Torn, "its first sector was never written");
    if (!decode_batch_header(first.substr(0, kSectorDataBytes), header_)) {
      return ends(Ending::Damaged, "its header fails the checksum");
    }
    if (header_.segment != scan_.header.segment || header_.batch != scan_.next_batch) {
      return ends(Ending::Damaged, fmt::format("batch {} of segment {} is there", header_.batch, header_.segment));
    }
    const uint64_t bytes = batch_bytes(header_.payload_bytes);
    if (bytes > area.size()) return ends(Ending::Damaged, fmt::format("its {} bytes pass the segment's end", bytes));
    for (uint64_t at = 0; at < bytes; at += kSectorBytes) {
      if (all_zero(area.substr(at, kSectorBytes))) {
        return ends(Ending::Torn,
                    fmt::format("sector {} of {} was never written", at / kSectorBytes, bytes / kSectorBytes));
      }
    }
    ends(Ending::Damaged, "all its sectors were written, but the payload fails the checksum");
  }

  bool later_batch(ByteView area) {
    for (uint64_t at = kBlockBytes; at < area.size(); at += kBlockBytes) {
      const ByteView sector = area.substr(at, kSectorBytes);
      if ((stamp_of(sector) & (kStampWritten | kStampFirst)) != (kStampWritten | kStampFirst)) continue;
      BatchHeader later;
      if (!decode_batch_header(sector.substr(0, kSectorDataBytes), later)) continue;
      if (later.segment != scan_.header.segment || later.batch <= scan_.next_batch) continue;
      ends(Ending::Damaged, fmt::format("not intact, but batch {}, written after it was durable, is at {}", later.batch,
                                        scan_.end_offset + at));
      return true;
    }
    return false;
  }

  ByteView image_;
  const RecordVisitor& visit_;
  Scan scan_;
  BatchHeader header_;
};

}  // namespace

Bytes encode_segment_header(const SegmentHeader& header) {
  Bytes out;
  Encoder encoder(out);
  encoder.raw(kSegmentMagic);
  encoder.u16(kFormatVersion);
  encoder.u16(0);  // reserved
  encoder.u64(header.segment);
  encoder.u64(header.first_batch);
  encoder.u64(header.slot_before.value);
  encoder.u32(crc32c(out));
  out.resize(kBlockBytes, '\0');
  return out;
}

Result<SegmentHeader> decode_segment_header(ByteView block) {
  Decoder decoder(block);
  const ByteView magic = decoder.raw(kSegmentMagic.size());
  const uint16_t version = decoder.u16();
  decoder.u16();
  SegmentHeader header;
  header.segment = decoder.u64();
  header.first_batch = decoder.u64();
  header.slot_before = Slot(decoder.u64());
  const uint32_t crc = decoder.u32();
  if (!decoder.ok()) return fail(Code::Corrupt, fmt::format("segment header: only {} bytes", block.size()));
  if (magic != kSegmentMagic) return fail(Code::Corrupt, fmt::format("segment header: magic {}", printable(magic)));
  const uint32_t expected = crc32c(block.substr(0, kSegmentHeaderBytes - sizeof crc));
  if (crc != expected) {
    return fail(Code::Corrupt, fmt::format("segment header: crc {:08x}, content has {:08x}", crc, expected));
  }
  if (version != kFormatVersion) {
    return fail(Code::Unsupported,
                fmt::format("segment header: format version {}, this program reads {}", version, kFormatVersion));
  }
  if (header.segment == 0 || header.first_batch == 0) return fail(Code::Corrupt, "segment header: number 0");
  return header;
}

void encode_record(Bytes& payload, const Record& record) {
  Encoder encoder(payload);
  encoder.u8(static_cast<uint8_t>(record.kind));
  encoder.u32(record.group);
  encoder.u64(record.slot.value);
  encoder.u32(static_cast<uint32_t>(record.body.size()));
  encoder.raw(record.body);
}

uint64_t batch_bytes(uint64_t payload_bytes) {
  const uint64_t sectors = (kBatchHeaderBytes + payload_bytes + kSectorDataBytes - 1) / kSectorDataBytes;
  return (sectors * kSectorBytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

Bytes encode_batch(uint64_t segment, uint64_t batch, ByteView payload) {
  Bytes header;
  encode_batch_header(header, {segment, batch, static_cast<uint32_t>(payload.size()), crc32c(payload)});
  Bytes out;
  const uint64_t bytes = batch_bytes(payload.size());
  out.reserve(bytes);
  Encoder encoder(out);
  uint16_t stamp = static_cast<uint16_t>(kStampWritten | kStampFirst | (batch & kStampBatchMask));
  while (out.size() < bytes) {
    const size_t sector = out.size();
    if (sector == 0) out.append(header);
    const ByteView piece = payload.substr(0, sector + kSectorDataBytes - out.size());
    out.append(piece);
    payload.remove_prefix(piece.size());
    out.resize(sector + kSectorDataBytes, '\0');
    encoder.u16(stamp);
    stamp = static_cast<uint16_t>(stamp & ~kStampFirst);
  }
  return out;
}

Result<std::optional<Batch>> read_batch(ByteView image, uint64_t segment, const RecordVisitor& visit) {
  BatchHeader header;
  if (image.size() < kBlockBytes || !decode_batch_header(image.substr(0, kSectorDataBytes), header))
    return std::nullopt;
  const uint64_t bytes = batch_bytes(header.payload_bytes);
  if (header.segment != segment || bytes > image.size()) return std::nullopt;
  const Bytes content = without_stamps(image, kBatchHeaderBytes + header.payload_bytes);
  const ByteView payload = ByteView(content).substr(kBatchHeaderBytes);
  if (crc32c(payload) != header.payload_crc) return std::nullopt;
  if (payload.empty()) return fail(Code::Corrupt, "no record");
  Decoder decoder(payload);
  Slot last;
  while (!decoder.rest().empty()) {
    Record record;
    const uint8_t kind = decoder.u8();
    record.group = decoder.u32();
    record.slot = Slot(decoder.u64());
    record.body = decoder.raw(decoder.u32());
    if (!decoder.ok()) return fail(Code::Corrupt, "record cut short");
    if (kind != static_cast<uint8_t>(RecordKind::Command) || record.group != 0)
      return fail(Code::Unsupported,
                  fmt::format("record of kind {}, group {}: written by a later version", kind, record.group));
    if (last && record.slot != last.next())
      return fail(Code::Corrupt, fmt::format("slot {} follows slot {}", record.slot.value, last.value));
    last = record.slot;
    TRY_DO(visit(record, 0));
  }
  return Batch{.number = header.batch, .bytes = bytes};
}

Result<Scan> scan_segment(ByteView image, const RecordVisitor& visit) { return Scanner(image, visit).run(); }

}  // namespace hailstone::log
