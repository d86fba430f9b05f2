// What a key maps to: kind, content, times, POSIX metadata, user metadata; and its one encoding
// (docs/formats/entry.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "chunk/content.h"

namespace hailstone::volume {

/// Keys are 1..1024 arbitrary bytes. An imported directory's own metadata sits at its path with a trailing '/'
/// (the imported root's at "./"), so that modes and empty directories survive.
enum class Kind : uint8_t {
  File = 1,
  Symlink = 2,    // content is the target
  Directory = 3,  // key ends with '/', no content
  Fifo = 4,
  CharDevice = 5,
  BlockDevice = 6,
};

/// Present on imported entries only.
struct Posix {
  uint32_t mode = 0;  // permission bits with setuid, setgid, sticky; the file type is Kind's to say
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t device = 0;  // st_rdev of device nodes
  bool sparse = false;  // had holes: export leaves zero blocks unwritten
  Bytes link;           // key of the hard link's first name in key order; empty for it and for unlinked files
  std::vector<std::pair<Bytes, Bytes>> xattrs;  // sorted by name; ACLs are system.posix_acl_{access,default}, raw
  bool operator==(const Posix&) const = default;
};

/// What S3 keeps of an object and a file has not.
struct ObjectFacts {
  std::map<Bytes, Bytes> headers;  // lower-case names: cache-control, content-disposition, content-encoding, ...
  std::map<Bytes, Bytes> tags;
  Bytes version;              // id; empty: the null version
  int64_t version_order = 0;  // of two versions of a key the newer has the higher one; Unix µs, made to rise
  bool delete_marker = false;
  Bytes checksum_algorithm;  // "CRC32C"; empty: none was asked for
  Bytes checksum;            // base64, of a composite one with "-N"
  uint32_t part_count = 0;   // uploaded in as many parts; 0: whole
  chunk::Content parts;      // their sizes and checksums (docs/formats/entry.md), when part_count > 0
  Bytes owner;               // name of the access key that wrote it
  Bytes acl;                 // as s3proto renders it; empty: private
  uint8_t retention = 0;     // 1 governance, 2 compliance
  int64_t retain_until = 0;  // Unix µs
  bool legal_hold = false;

  bool operator==(const ObjectFacts&) const = default;
};

struct Entry {
  Kind kind = Kind::File;
  chunk::Content content;
  int64_t modified_ns = 0;  // POSIX mtime, or the time of the write that made it
  std::optional<Posix> posix;
  Bytes content_type;                 // as given by the writer; empty: by file name at the edge
  std::map<Bytes, Bytes> metadata;    // user metadata, lower-case names
  Bytes etag;                         // S3 ETag without quotes where it is not content.sha256
  std::optional<ObjectFacts> object;  // nothing: a file that was never an S3 object of its own

  bool operator==(const Entry&) const = default;

  /// At most tree::kValueBytesMax, or Invalid ("metadata of KEY is N bytes, limit M").
  Result<Bytes> encode() const;
  /// Corrupt on anything malformed.
  static Result<Entry> decode(ByteView bytes);
};

/// Calls `visit` for each content an entry names: its own, and its part list.
template <class Visit>
Result<void> for_each_content(const Entry& entry, Visit&& visit) {
  if (auto seen = visit(entry.content); !seen) return seen;
  if (entry.object && entry.object->part_count > 0) return visit(entry.object->parts);
  return {};
}

inline constexpr size_t kKeyBytesMax = 1024;
inline constexpr size_t kMetadataBytesMax = 8u << 10;  // xattrs, user metadata and link together

/// Invalid with a reason: empty, longer than 1024 bytes, or a name that no reader could ask for back.
Result<void> validate_key(ByteView key);

}  // namespace hailstone::volume
