#include "volume/entry.h"

#include <fmt/format.h>

#include <algorithm>

#include "tree/tree.h"

namespace hailstone::volume {
namespace {

constexpr uint8_t kVersion = 1;

// Which optional parts follow. A bit this version does not know makes the entry unreadable: Corrupt, never skipped.
enum Flag : uint64_t {
  kHasPosix = 1,
  kHasContentType = 2,
  kHasMetadata = 4,
  kHasEtag = 8,
  kHasObject = 16,
  kAllFlags = 31,
};

constexpr size_t kPairsMax = 1024;

void encode_posix(Encoder& out, const Posix& posix) {
  out.varint(posix.mode);
  out.varint(posix.uid);
  out.varint(posix.gid);
  out.varint(posix.device);
  out.u8(posix.sparse ? 1 : 0);
  out.bytes(posix.link);
  out.varint(posix.xattrs.size());
  for (const auto& [name, value] : posix.xattrs) {
    out.bytes(name);
    out.bytes(value);
  }
}

uint32_t narrow(Decoder& in) {
  const uint64_t value = in.varint();
  if (value > UINT32_MAX) in.poison();
  return static_cast<uint32_t>(value);
}

Posix decode_posix(Decoder& in) {
  Posix posix;
  posix.mode = narrow(in);
  if (posix.mode > 07777) in.poison();
  posix.uid = narrow(in);
  posix.gid = narrow(in);
  posix.device = in.varint();
  const uint8_t sparse = in.u8();
  if (sparse > 1) in.poison();
  posix.sparse = sparse == 1;
  posix.link = in.bytes();
  const uint64_t count = in.varint();
  if (count > kPairsMax) in.poison();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Bytes name(in.bytes());
    Bytes value(in.bytes());
    if (!posix.xattrs.empty() && posix.xattrs.back().first >= name) in.poison();
    posix.xattrs.emplace_back(std::move(name), std::move(value));
  }
  return posix;
}

void encode_map(Encoder& out, const std::map<Bytes, Bytes>& map) {
  out.varint(map.size());
  for (const auto& [name, value] : map) {
    out.bytes(name);
    out.bytes(value);
  }
}

std::map<Bytes, Bytes> decode_map(Decoder& in) {
  std::map<Bytes, Bytes> out;
  const uint64_t count = in.varint();
  if (count > kPairsMax) in.poison();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Bytes name(in.bytes());
    Bytes value(in.bytes());
    if (!out.empty() && out.rbegin()->first >= name) in.poison();
    out.emplace_hint(out.end(), std::move(name), std::move(value));
  }
  return out;
}

enum ObjectFlag : uint8_t { kDeleteMarker = 1, kLegalHold = 2, kAllObjectFlags = 3 };

void encode_object(Encoder& out, const ObjectFacts& object) {
  out.u8(static_cast<uint8_t>((object.delete_marker ? kDeleteMarker : 0) | (object.legal_hold ? kLegalHold : 0)));
  encode_map(out, object.headers);
  encode_map(out, object.tags);
  out.bytes(object.version);
  out.svarint(object.version_order);
  out.bytes(object.checksum_algorithm);
  out.bytes(object.checksum);
  out.varint(object.part_count);
  if (object.part_count > 0) object.parts.encode(out);
  out.bytes(object.owner);
  out.bytes(object.acl);
  out.u8(object.retention);
  out.svarint(object.retain_until);
}

ObjectFacts decode_object(Decoder& in) {
  ObjectFacts object;
  const uint8_t flags = in.u8();
  if ((flags & ~unsigned{kAllObjectFlags}) != 0) in.poison();
  object.delete_marker = (flags & kDeleteMarker) != 0;
  object.legal_hold = (flags & kLegalHold) != 0;
  object.headers = decode_map(in);
  object.tags = decode_map(in);
  object.version = in.bytes();
  object.version_order = in.svarint();
  object.checksum_algorithm = in.bytes();
  object.checksum = in.bytes();
  object.part_count = narrow(in);
  if (object.part_count > 0) object.parts = chunk::Content::decode(in);
  object.owner = in.bytes();
  object.acl = in.bytes();
  object.retention = in.u8();
  if (object.retention > 2) in.poison();
  object.retain_until = in.svarint();
  return object;
}

size_t metadata_bytes(const Entry& entry) {
  size_t bytes = entry.content_type.size() + entry.etag.size();
  for (const auto& [name, value] : entry.metadata) bytes += name.size() + value.size();
  if (entry.object) {
    for (const auto& [name, value] : entry.object->headers) bytes += name.size() + value.size();
    for (const auto& [name, value] : entry.object->tags) bytes += name.size() + value.size();
    bytes += entry.object->acl.size();
  }
  if (entry.posix) {
    bytes += entry.posix->link.size();
    for (const auto& [name, value] : entry.posix->xattrs) bytes += name.size() + value.size();
  }
  return bytes;
}

}  // namespace

Result<Bytes> Entry::encode() const {
  if (const size_t bytes = metadata_bytes(*this); bytes > kMetadataBytesMax)
    return fail(Code::Invalid, fmt::format("metadata is {} bytes, limit {}", bytes, kMetadataBytesMax));
  if (metadata.size() > kPairsMax || (posix && posix->xattrs.size() > kPairsMax))
    return fail(Code::Invalid, fmt::format("more than {} metadata fields", kPairsMax));
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.u8(static_cast<uint8_t>(kind));
  out.varint((posix ? kHasPosix : 0u) | (content_type.empty() ? 0u : kHasContentType) |
             (metadata.empty() ? 0u : kHasMetadata) | (etag.empty() ? 0u : kHasEtag) | (object ? kHasObject : 0u));
  out.svarint(modified_ns);
  content.encode(out);
  if (posix) encode_posix(out, *posix);
  if (!content_type.empty()) out.bytes(content_type);
  if (!metadata.empty()) {
    out.varint(metadata.size());
    for (const auto& [name, value] : metadata) {
      out.bytes(name);
      out.bytes(value);
    }
  }
  if (!etag.empty()) out.bytes(etag);
  if (object) encode_object(out, *object);
  if (bytes.size() > tree::kValueBytesMax)
    return fail(Code::Invalid, fmt::format("entry is {} bytes, limit {}", bytes.size(), tree::kValueBytesMax));
  return bytes;
}

Result<Entry> Entry::decode(ByteView bytes) {
  Decoder in(bytes);
  Entry entry;
  if (const uint8_t version = in.u8(); version != kVersion)
    return fail(Code::Corrupt, fmt::format("entry: version {} is not {}", version, kVersion));
  const uint8_t kind = in.u8();
  if (kind < static_cast<uint8_t>(Kind::File) || kind > static_cast<uint8_t>(Kind::BlockDevice))
    return fail(Code::Corrupt, fmt::format("entry: unknown kind {}", kind));
  entry.kind = static_cast<Kind>(kind);
  const uint64_t flags = in.varint();
  if ((flags & ~uint64_t{kAllFlags}) != 0) return fail(Code::Corrupt, fmt::format("entry: unknown flags {:#x}", flags));
  entry.modified_ns = in.svarint();
  entry.content = chunk::Content::decode(in);
  if (flags & kHasPosix) entry.posix = decode_posix(in);
  if (flags & kHasContentType) entry.content_type = in.bytes();
  if (flags & kHasMetadata) {
    const uint64_t count = in.varint();
    if (count == 0 || count > kPairsMax) in.poison();
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
      Bytes name(in.bytes());
      Bytes value(in.bytes());
      if (!entry.metadata.empty() && entry.metadata.rbegin()->first >= name) in.poison();
      entry.metadata.emplace_hint(entry.metadata.end(), std::move(name), std::move(value));
    }
  }
  if (flags & kHasEtag) entry.etag = in.bytes();
  if (flags & kHasObject) entry.object = decode_object(in);
  if (!in.done()) return fail(Code::Corrupt, fmt::format("entry: malformed ({} bytes)", bytes.size()));
  return entry;
}

Result<void> validate_key(ByteView key) {
  if (key.empty()) return fail(Code::Invalid, "key is empty");
  if (key.size() > kKeyBytesMax)
    return fail(Code::Invalid, fmt::format("key is {} bytes, limit {}: {}", key.size(), kKeyBytesMax, printable(key)));
  return {};
}

}  // namespace hailstone::volume
