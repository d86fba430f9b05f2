// `DIR/by-hash/SHA256/HEX` without the publisher's help: the file of DIR whose content has that hash (apt's
// Acquire-By-Hash).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "depot/find.h"
#include "volume/records.h"

namespace hailstone::depot {

/// Files of a directory that are looked at: beyond them a hash is not found.
inline constexpr size_t kByHashFilesMax = 4000;

struct ByHashPath {
  Bytes directory;  // ends with '/', or empty
  Hash256 hash;
};
/// Nothing unless the key ends with "by-hash/SHA256/" and 64 lower-case hex digits.
std::optional<ByHashPath> parse_by_hash(ByteView key);

/// The file directly in `directory` whose content has this hash, in one release.
Result<Found> find_by_hash(const Store& store, const tree::Root& root, const ByHashPath& path);

/// The hashes of one directory over a channel's flips. Extended by each new flip, so that an old or a made-up hash
/// costs no walk through all releases.
class ByHashIndex {
 public:
  struct Where {
    uint64_t sequence = 0;  // the newest flip whose release has the file
    Bytes key;
  };
  /// Brings the index up to the last of `flips`, of which those from index `first` on matter.
  Result<void> extend(const Store& store, const std::vector<volume::Flip>& flips, size_t first, ByteView directory);
  const Where* find(const Hash256& hash) const;

 private:
  uint64_t next_ = 0;  // sequence of the first flip not looked at
  std::map<Hash256, Where> files_;
};

}  // namespace hailstone::depot
