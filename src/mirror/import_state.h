// What an import remembers of its last run, so that the next one neither reads unchanged files nor asks for a manifest
// (docs/formats/import-state.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "disk/disk.h"

namespace hailstone::mirror {

struct Item;

/// A key as it was when its entry was sent.
struct StateRecord {
  Bytes key;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // 0: must be read again, whatever the rest says
  uint64_t inode = 0;
  uint64_t fingerprint = 0;  // mirror::fingerprint of the entry the server has
  bool operator==(const StateRecord&) const = default;
};

/// Holds every key the target had under the prefix after our last commit, which gave `token`. It is a cache: it speaks
/// for the server only while the server's token is still that one.
struct ImportState {
  Bytes source;                      // absolute path of the imported directory
  Bytes target;                      // server URL, target and prefix, as one text
  Bytes token;                       // of the target after our last commit
  std::vector<StateRecord> records;  // sorted by key, no duplicates

  const StateRecord* find(ByteView key) const;
  bool operator==(const ImportState&) const = default;

  Bytes encode() const;
  /// Corrupt on any damage, an unknown version, or keys out of order.
  static Result<ImportState> decode(ByteView bytes);
};

/// The record of an item whose entry, with this fingerprint, the server now has. An item that changed within two
/// seconds of the scan's start could change again without its times showing it (clock granularity): it is marked "read
/// again".
StateRecord record_of(const Item& item, uint64_t fingerprint, int64_t scan_started_ns);

/// "$XDG_CACHE_HOME/hailstone/import-<hash of source and target>", or under ~/.cache.
std::string default_state_path(ByteView source, ByteView target);

/// Nothing when the file is absent, damaged, or about another source or target: then everything is compared. `why` says
/// so.
std::optional<ImportState> load_state(disk::Disk& disk, const std::string& path, ByteView source, ByteView target,
                                      std::string& why);
/// Atomic and durable; makes the directory.
Result<void> save_state(disk::Disk& disk, const std::string& path, const ImportState& state);

}  // namespace hailstone::mirror
