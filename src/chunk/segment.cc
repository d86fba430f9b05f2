#include "chunk/segment.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/codec.h"

namespace hailstone::chunk {
namespace {

constexpr ByteView kSegmentMagic = "HAILSEG1";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kRecordMagic = 0x4b4e4843;  // "CHNK"
constexpr uint8_t kFlagZstd = 1;
constexpr size_t kHeaderCrcAt = 52;

/// The CRC continues from the place of the record, which is thereby part of what it checks.
uint32_t record_crc(ByteView header, uint32_t segment, uint64_t offset) {
  Bytes place;
  Encoder encoder(place);
  encoder.u32(segment);
  encoder.u64(offset);
  const uint32_t fixed = crc32c(header.substr(0, kHeaderCrcAt), crc32c(place));
  return crc32c(header.substr(kRecordFixedBytes), fixed);
}

size_t blocks_of(uint32_t stored) { return (size_t{stored} + kBlockBytes - 1) / kBlockBytes; }

/// Limits that follow from the kind.
bool plausible(const RecordHeader& h) {
  switch (h.kind) {
    case RecordKind::Chunk:
      return h.bytes >= 1 && h.bytes <= kChunkBytesMax && h.stored >= 1 &&
             (h.zstd ? h.stored < h.bytes : h.stored == h.bytes);
    case RecordKind::Erase:
      return h.bytes == h.stored && !h.zstd && h.stored >= 32 && h.stored <= 32 * kErasedIdsMax && h.stored % 32 == 0;
    case RecordKind::Skip: return h.bytes == 0 && !h.zstd;
  }
  return false;
}

}  // namespace

Bytes SegmentHeader::encode() const {
  Bytes out;
  Encoder encoder(out);
  encoder.raw(kSegmentMagic);
  encoder.u32(kVersion);
  encoder.u32(number);
  encoder.u64(order);
  encoder.u32(generation);
  out.resize(kSegmentHeaderBytes - 4, '\0');
  encoder.u32(crc32c(out));
  return out;
}

Result<SegmentHeader> SegmentHeader::decode(ByteView bytes) {
  if (bytes.size() < kSegmentHeaderBytes)
    return fail(Code::Corrupt, fmt::format("header cut short at {}", bytes.size()));
  Decoder in(bytes.substr(0, kSegmentHeaderBytes));
  const ByteView magic = in.raw(kSegmentMagic.size());
  const uint32_t version = in.u32();
  SegmentHeader header;
  header.number = in.u32();
  header.order = in.u64();
  header.generation = in.u32();
  const uint32_t want = Decoder(bytes.substr(kSegmentHeaderBytes - 4)).u32();
  const uint32_t have = crc32c(bytes.substr(0, kSegmentHeaderBytes - 4));
  if (magic != kSegmentMagic || want != have)
    return fail(Code::Corrupt, fmt::format("header crc {:08x} != {:08x}, magic {}", have, want, printable(magic)));
  if (version != kVersion)
    return fail(Code::Unsupported, fmt::format("segment version {}: {} is known", version, kVersion));
  return header;
}

std::optional<std::string> RecordHeader::damage(ByteView payload, size_t first) const {
  for (size_t i = 0; i * kBlockBytes < payload.size(); ++i) {
    const uint32_t have = crc32c(block(payload, i));
    if (first + i >= blocks || have != block_crcs[first + i])
      return fmt::format("payload crc {:08x} != {:08x} in block {}", have, block_crcs[first + i], first + i);
  }
  return std::nullopt;
}

void sum_blocks(RecordHeader& header, ByteView payload) {
  header.blocks = static_cast<uint16_t>(blocks_of(static_cast<uint32_t>(payload.size())));
  CHECK(header.blocks <= kBlocksMax);
  for (size_t i = 0; i < header.blocks; ++i) header.block_crcs[i] = crc32c(header.block(payload, i));
}

uint16_t payload_position(uint64_t offset, uint32_t stored, bool paged) {
  const uint64_t header_end = offset + kRecordFixedBytes + 4 * blocks_of(stored);
  return static_cast<uint16_t>(align_up(header_end, paged ? kPageBytes : kRecordAlign) - offset);
}

Bytes encode_record(const RecordHeader& header, uint32_t segment, uint64_t offset) {
  Bytes out;
  out.reserve(kRecordFixedBytes + 4 * header.blocks);
  Encoder encoder(out);
  encoder.u32(kRecordMagic);
  encoder.u8(static_cast<uint8_t>(header.kind));
  encoder.u8(header.zstd ? kFlagZstd : 0);
  encoder.u16(header.payload_at);
  encoder.u32(header.bytes);
  encoder.u32(header.stored);
  encoder.hash(header.id);
  encoder.u32(static_cast<uint32_t>(header.synced_to / kRecordAlign));
  encoder.u32(0);
  for (size_t i = 0; i < header.blocks; ++i) encoder.u32(header.block_crcs[i]);
  const uint32_t crc = record_crc(out, segment, offset);
  for (size_t i = 0; i < 4; ++i) out[kHeaderCrcAt + i] = static_cast<char>(crc >> (8 * i));
  return out;
}

bool looks_like_record(ByteView bytes) { return bytes.size() >= 4 && Decoder(bytes).u32() == kRecordMagic; }

Result<void> decode_record(ByteView bytes, uint32_t segment, uint64_t offset, RecordHeader& out) {
  Decoder in(bytes);
  const uint32_t magic = in.u32();
  const uint8_t kind = in.u8();
  const uint8_t flags = in.u8();
  out.payload_at = in.u16();
  out.bytes = in.u32();
  out.stored = in.u32();
  out.id = ChunkId(in.hash());
  out.synced_to = uint64_t{in.u32()} * kRecordAlign;
  const uint32_t want = in.u32();
  if (!in.ok()) return fail(Code::Corrupt, fmt::format("record header cut short at {} bytes", bytes.size()));
  if (magic != kRecordMagic) return fail(Code::Corrupt, fmt::format("no record begins here: magic {:08x}", magic));
  out.kind = static_cast<RecordKind>(kind);
  const size_t blocks = out.kind == RecordKind::Skip ? 0 : blocks_of(out.stored);
  // The size of the table comes from a field that is not yet to be trusted.
  if (blocks > kBlocksMax || bytes.size() < kRecordFixedBytes + 4 * blocks)
    return fail(Code::Corrupt, fmt::format("record header says {} payload bytes", out.stored));
  const uint32_t have = record_crc(bytes.substr(0, kRecordFixedBytes + 4 * blocks), segment, offset);
  if (have != want) return fail(Code::Corrupt, fmt::format("record header crc {:08x} != {:08x}", have, want));
  if (kind < 1 || kind > 3 || (flags & ~kFlagZstd) != 0)
    return fail(Code::Unsupported, fmt::format("record kind {} flags {:02x}", kind, flags));
  out.zstd = (flags & kFlagZstd) != 0;
  out.blocks = static_cast<uint16_t>(blocks);
  for (size_t i = 0; i < blocks; ++i) out.block_crcs[i] = in.u32();
  if (!plausible(out) || out.payload_at < kRecordFixedBytes + 4 * blocks)
    return fail(Code::Corrupt, fmt::format("record header with impossible sizes: kind {}, {} bytes stored as {} at {}",
                                           kind, out.bytes, out.stored, out.payload_at));
  return {};
}

std::string segment_name(uint32_t number) { return fmt::format("{:08}.seg", number); }
std::string sidecar_name(uint32_t number) { return fmt::format("{:08}.idx", number); }

std::optional<uint32_t> parse_segment_name(std::string_view name, std::string_view suffix) {
  if (name.size() != 8 + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 8, number);
  if (error != std::errc() || end != name.data() + 8 || number > kSegmentNumberMax) return std::nullopt;
  return number;
}

std::string record_place(uint32_t segment, uint64_t offset) {
  return fmt::format("segment {}: record at {}", segment, offset);
}

}  // namespace hailstone::chunk
