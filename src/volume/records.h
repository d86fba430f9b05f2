// What the group's database holds about volumes: settings, layers, channels, drafts, releases, keys
// (docs/formats/state.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/ids.h"
#include "tree/tree.h"

namespace hailstone::volume {

/// What publish does with findings of the built-in checks.
enum class CheckMode : uint8_t { Refuse = 0, Warn = 1, Off = 2 };

struct Settings {
  bool overlay = true;                 // a path the current release lacks resolves in releases still in grace
  uint64_t grace_seconds = 72 * 3600;  // from the flip that replaced a release
  bool public_read = true;             // anonymous readers may use the depot
  bool cookie_pin = false;             // the depot may pin a browser to the release it saw first
  CheckMode checks = CheckMode::Refuse;
  bool compress = true;  // zstd where it pays
  uint32_t chunk_average_bytes = 1u << 20;
  uint64_t keep_releases = 0;  // the newest so many stay; 0: all. Channels, holds, tags, drafts and grace keep more
  uint64_t keep_seconds = 0;   // and those replaced no longer ago than this; 0: no bound by age
  uint64_t trash_seconds = 24 * 3600;  // what is let go can be taken back for so long
  Bytes description;

  bool operator==(const Settings&) const = default;
  void encode(Encoder& out) const;
  static Settings decode(Decoder& in);
  /// Invalid naming the setting and its range.
  Result<void> validate() const;
};

/// A writable map: a base tree under one or two generations of edits kept in the database. Writes go to `active`;
/// sealing freezes it (frozen = active, active + 1), folds the frozen edits into a new base and drops them.
struct Layer {
  tree::Root base;
  uint64_t active = 1;
  uint64_t frozen = 0;        // 0: none
  uint64_t active_edits = 0;  // since the last freeze, overwrites counted again
  uint64_t active_bytes = 0;
  Slot version;  // of the last command that changed what a reader sees; sealing does not
  bool operator==(const Layer&) const = default;
  void encode(Encoder& out) const;
  static Layer decode(Decoder& in);
};

inline constexpr uint64_t kHeadLayer = 0;               // a draft's layer number is its id
inline constexpr uint64_t kVersionsLayer = 1ull << 63;  // former versions of the head's objects (volume/objects.h)
inline constexpr uint64_t kUploadsLayer = kVersionsLayer + 1;  // multipart uploads and their parts
inline constexpr bool is_own_layer(uint64_t layer) { return layer >= kVersionsLayer; }  // made by the first write to it

/// One change of a channel.
struct Flip {
  uint64_t sequence = 0;  // per channel: 1, 2, 3 ...
  ReleaseNumber release;  // 0: the channel was removed
  tree::Root root;
  UnixMicros at;
  int64_t modified_seconds = 0;  // what Last-Modified says of content that became current here; strictly rising
  bool operator==(const Flip&) const = default;
  void encode(Encoder& out) const;
  static Flip decode(Decoder& in);
};

struct VolumeRecord {
  VolumeId id;
  Bytes name;
  Settings settings;
  UnixMicros created;
  ReleaseNumber last_release;
  DraftId last_draft;
  std::map<Bytes, Flip> channels;    // each one's newest flip
  std::map<Bytes, Bytes> documents;  // bucket configuration by sub-resource: "policy", "cors", "versioning", ...
  bool operator==(const VolumeRecord&) const = default;
  Bytes encode() const;
  static Result<VolumeRecord> decode(ByteView bytes);
};

struct DraftRecord {
  DraftId id;
  ReleaseNumber base;  // 0: started empty
  tree::Root base_root;
  Bytes author;
  Bytes message;
  UnixMicros opened;
  UnixMicros active;  // last write; the lease runs from here
  bool operator==(const DraftRecord&) const = default;
  Bytes encode() const;
  static Result<DraftRecord> decode(ByteView bytes);
};

enum class ReleaseKind : uint8_t { Publish = 1, Revert = 2, Clone = 3 };

/// Immutable once committed. `signed_bytes()` is what the signature covers: every field but the signature itself.
struct ReleaseRecord {
  VolumeId volume;
  Bytes volume_name;  // at the time
  ReleaseNumber number;
  ReleaseKind kind = ReleaseKind::Publish;
  tree::Root root;
  tree::Root derived;  // search index, feed and change list of this release, a tree of its own
  tree::Totals totals;
  ReleaseNumber base;    // whose content this one started from; 0: none
  ReleaseNumber parent;  // number - 1, or 0 for the first
  Hash256 parent_hash;   // of the parent's record: the history is a hash chain
  UnixMicros time;
  Bytes author;
  Bytes message;
  uint64_t added = 0, changed = 0, removed = 0;  // keys, against base
  Bytes key_id;                                  // which public key verifies it
  Bytes signature;                               // Ed25519

  bool operator==(const ReleaseRecord&) const = default;
  Bytes signed_bytes() const;
  Bytes encode() const;
  static Result<ReleaseRecord> decode(ByteView bytes);
  /// SHA-256 of encode(): what a child names as its parent's hash.
  Hash256 hash() const;
};

/// A release that retention or a person has let go; purged when its volume's trash_seconds are over.
struct Trashed {
  ReleaseNumber release;
  UnixMicros since;
};

/// One line of the audit log.
struct AuditRecord {
  Slot slot;
  UnixMicros time;
  Bytes author;
  Bytes action;  // "publish", "put-key", ...
  Bytes object;  // what it was done to, for people
  Bytes encode() const;
  static Result<AuditRecord> decode(Slot slot, ByteView bytes);
};

struct Hold {
  Bytes name;
  Bytes reason;
  UnixMicros since;
  bool operator==(const Hold&) const = default;
};

enum class Role : uint8_t { Reader = 1, Writer = 2, Publisher = 3, Admin = 4 };  // each may do all that the former may

struct AccessKey {
  Bytes id;
  Bytes name;
  Role role = Role::Reader;
  std::vector<Bytes> volumes;  // names, or "*" for all
  Bytes secret_hash;           // SHA-256 of the secret
  Bytes sealed_secret;         // the secret under the node's master key: signatures can't be verified without it
  UnixMicros created;
  bool operator==(const AccessKey&) const = default;
  Bytes encode() const;
  static Result<AccessKey> decode(ByteView bytes);
};

/// The key has this role or a higher one, on that volume.
bool allows(const AccessKey& key, Role role, std::string_view volume);

std::string_view role_name(Role role);
std::optional<Role> parse_role(std::string_view name);
std::string_view check_mode_name(CheckMode mode);
std::optional<CheckMode> parse_check_mode(std::string_view name);

/// A valid S3 bucket name without "--" and none of the server's own paths. Invalid with the rule that it breaks.
Result<void> validate_volume_name(std::string_view name);
/// Channels and tags: a letter, then letters, digits, '.', '_' or '-', at most 63; not "draft-...".
Result<void> validate_label(std::string_view what, std::string_view name);

}  // namespace hailstone::volume
