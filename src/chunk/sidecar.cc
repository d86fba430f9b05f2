#include "chunk/sidecar.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "base/codec.h"

namespace hailstone::chunk {
namespace {

constexpr ByteView kMagic = "HAILIDX1";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kEntryBytes = 48;

}  // namespace

Bytes Sidecar::encode() const {
  Bytes out;
  out.reserve(kHeaderBytes + entries.size() * kEntryBytes);
  Encoder encoder(out);
  Bytes body;
  body.reserve(entries.size() * kEntryBytes);
  Encoder fields(body);
  for (const SegmentEntry& entry : entries) {
    fields.hash(entry.id);
    fields.u32(entry.offset8);
    fields.u32(entry.stored);
    fields.u32(entry.bytes);
    fields.u32(entry.span8);
  }
  encoder.raw(kMagic);
  encoder.u32(kVersion);
  encoder.u32(segment.number);
  encoder.u64(segment.order);
  encoder.u32(segment.generation);
  encoder.u32(0);
  encoder.u64(covered);
  encoder.u64(entries.size());
  encoder.u32(crc32c(body));
  out.resize(kHeaderBytes - 4, '\0');
  encoder.u32(crc32c(out));
  encoder.raw(body);
  return out;
}

Result<Sidecar> Sidecar::decode(ByteView bytes) {
  Decoder in(bytes);
  const ByteView magic = in.raw(kMagic.size());
  const uint32_t version = in.u32();
  Sidecar out;
  out.segment.number = in.u32();
  out.segment.order = in.u64();
  out.segment.generation = in.u32();
  in.u32();
  out.covered = in.u64();
  const uint64_t count = in.u64();
  const uint32_t body_crc = in.u32();
  if (bytes.size() < kHeaderBytes || magic != kMagic ||
      crc32c(bytes.substr(0, kHeaderBytes - 4)) != Decoder(bytes.substr(kHeaderBytes - 4)).u32())
    return fail(Code::Corrupt, fmt::format("no sidecar header in {} bytes", bytes.size()));
  if (version != kVersion)
    return fail(Code::Unsupported, fmt::format("sidecar version {}: {} is known", version, kVersion));
  const ByteView body = bytes.substr(kHeaderBytes);
  if (body.size() % kEntryBytes != 0 || body.size() / kEntryBytes != count || crc32c(body) != body_crc)
    return fail(Code::Corrupt, fmt::format("sidecar body of {} bytes for {} entries, crc {:08x} != {:08x}", body.size(),
                                           count, crc32c(body), body_crc));
  if (out.covered > kSegmentFileBytesMax || out.segment.number > kSegmentNumberMax)
    return fail(Code::Corrupt, fmt::format("sidecar of {} bytes of segment {}", out.covered, out.segment.number));
  out.entries.reserve(count);
  Decoder fields(body);
  for (uint64_t i = 0; i < count; ++i) {
    SegmentEntry entry;
    entry.id = ChunkId(fields.hash());
    entry.offset8 = fields.u32();
    entry.stored = fields.u32();
    entry.bytes = fields.u32();
    entry.span8 = fields.u32();
    const bool placed =
        entry.erased() || (entry.offset() >= kSegmentHeaderBytes && entry.offset() + entry.span() <= out.covered);
    if (!placed || (i > 0 && !(out.entries.back().id < entry.id)))
      return fail(Code::Corrupt, fmt::format("sidecar entry {} out of place", i));
    out.entries.push_back(entry);
  }
  return out;
}

std::vector<SegmentEntry> last_words(const std::vector<SegmentEntry>& entries) {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const auto by_id = entries[a].id <=> entries[b].id;
    return by_id == 0 ? a < b : by_id < 0;
  });
  std::vector<SegmentEntry> out;
  out.reserve(entries.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const SegmentEntry& entry = entries[order[i]];
    if (i > 0 && out.back().id == entry.id) {
      out.back() = entry;
    } else {
      out.push_back(entry);
    }
  }
  return out;
}

}  // namespace hailstone::chunk
