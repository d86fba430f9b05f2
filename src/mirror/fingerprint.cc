#include "mirror/fingerprint.h"

#include "base/codec.h"

namespace hailstone::mirror {

uint64_t fingerprint(const volume::Entry& entry) {
  // Its own encoding, not Entry::encode: that one may grow a version without anything having changed.
  Bytes bytes;
  Encoder out(bytes);
  out.u8(static_cast<uint8_t>(entry.kind));
  out.varint(entry.content.bytes);
  out.hash(entry.content.sha256);
  out.svarint(entry.modified_ns);
  out.bytes(entry.content_type);
  out.bytes(entry.etag);
  out.varint(entry.metadata.size());
  for (const auto& [name, value] : entry.metadata) {
    out.bytes(name);
    out.bytes(value);
  }
  out.u8(entry.posix ? 1 : 0);
  if (entry.posix) {
    out.varint(entry.posix->mode);
    out.varint(entry.posix->uid);
    out.varint(entry.posix->gid);
    out.varint(entry.posix->device);
    out.u8(entry.posix->sparse ? 1 : 0);
    out.bytes(entry.posix->link);
    out.varint(entry.posix->xattrs.size());
    for (const auto& [name, value] : entry.posix->xattrs) {
      out.bytes(name);
      out.bytes(value);
    }
  }
  return xxh3(bytes);
}

}  // namespace hailstone::mirror
