// What an exported tree holds, kept beside it, so that the next export fetches only what changed
// (docs/formats/export-manifest.md).
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "volume/entry.h"

namespace hailstone::mirror {

struct ExportRecord {
  Bytes key;
  volume::Kind kind = volume::Kind::File;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  uint64_t fingerprint = 0;  // mirror::fingerprint of the entry
  Hash256 sha256;            // of the content
  bool operator==(const ExportRecord&) const = default;
};

/// Written only when the tree is complete and on disk.
struct ExportManifest {
  Bytes origin;                       // server URL, target and prefix, as one text
  uint64_t release = 0;               // 0: a head or draft
  std::vector<ExportRecord> records;  // sorted by key, no duplicates

  const ExportRecord* find(ByteView key) const;
  bool operator==(const ExportManifest&) const = default;

  Bytes encode() const;
  /// Corrupt on any damage, an unknown version, or keys out of order.
  static Result<ExportManifest> decode(ByteView bytes);
};

}  // namespace hailstone::mirror
