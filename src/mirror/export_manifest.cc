#include "mirror/export_manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"

namespace hailstone::mirror {
namespace {

constexpr ByteView kMagic = "HSEM";
constexpr uint16_t kVersion = 1;

}  // namespace

const ExportRecord* ExportManifest::find(ByteView key) const {
  const auto at = std::lower_bound(records.begin(), records.end(), key,
                                   [](const ExportRecord& record, ByteView k) { return record.key < k; });
  return at != records.end() && at->key == key ? &*at : nullptr;
}

Bytes ExportManifest::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.raw(kMagic);
  out.u16(kVersion);
  out.u16(0);
  out.bytes(origin);
  out.varint(release);
  out.varint(records.size());
  for (const ExportRecord& record : records) {
    out.bytes(record.key);
    out.u8(static_cast<uint8_t>(record.kind));
    out.varint(record.bytes);
    out.svarint(record.modified_ns);
    out.u64(record.fingerprint);
    out.hash(record.sha256);
  }
  out.u64(xxh3(bytes));
  return bytes;
}

Result<ExportManifest> ExportManifest::decode(ByteView bytes) {
  if (bytes.size() < kMagic.size() + 4 + 8 || !bytes.starts_with(kMagic))
    return fail(Code::Corrupt, fmt::format("export manifest: not one ({} bytes)", bytes.size()));
  const ByteView body = bytes.substr(0, bytes.size() - 8);
  const uint64_t sum = Decoder(bytes.substr(body.size())).u64();
  if (const uint64_t want = xxh3(body); sum != want)
    return fail(Code::Corrupt, fmt::format("export manifest: checksum {:016x} != {:016x}", sum, want));
  Decoder in(body.substr(kMagic.size()));
  const uint16_t version = in.u16();
  if (version != kVersion || in.u16() != 0)
    return fail(Code::Corrupt, fmt::format("export manifest: version {} is not {}", version, kVersion));
  ExportManifest manifest;
  manifest.origin = in.bytes();
  manifest.release = in.varint();
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    ExportRecord record;
    record.key = in.bytes();
    const uint8_t kind = in.u8();
    if (kind < 1 || kind > static_cast<uint8_t>(volume::Kind::BlockDevice)) in.poison();
    record.kind = static_cast<volume::Kind>(kind);
    record.bytes = in.varint();
    record.modified_ns = in.svarint();
    record.fingerprint = in.u64();
    record.sha256 = in.hash();
    if (i > 0 && record.key <= manifest.records.back().key) in.poison();
    manifest.records.push_back(std::move(record));
  }
  if (!in.done())
    return fail(Code::Corrupt, fmt::format("export manifest: malformed after {} records", manifest.records.size()));
  return manifest;
}

}  // namespace hailstone::mirror
