// Objects and their versions over a volume's layers: what PUT, DELETE and DELETE of a version do, as edits.
#pragma once

#include <optional>

#include "s3/refused.h"
#include "s3proto/settings.h"
#include "volume/repository.h"

namespace hailstone::s3 {

inline constexpr std::string_view kNullVersion = "null";

/// "null" or 16 hex digits; greater is older.
Bytes version_id(const volume::Entry& entry);
/// Key of a former version in the volume's versions layer: the object's key, a NUL, and the order, newest first.
Bytes version_key(ByteView key, int64_t order);
/// The object's key of a version key.
ByteView key_of_version(ByteView version_key);

/// InvalidArgument for what cannot be a version's id.
Answer<> require_version_id(std::string_view id);

struct Written {
  Bytes version;               // empty: the bucket does not keep versions
  bool delete_marker = false;  // made, or removed
};

/// `entry` becomes the current version of `key`; what was current becomes a former one where versions are kept.
Result<Written> put_object(volume::Transaction& transaction, uint64_t layer, s3proto::Versioning versioning,
                           ByteView key, volume::Entry entry, UnixMicros now);
/// DELETE without a version: removes, or hides under a delete marker.
Result<Written> delete_object(volume::Transaction& transaction, uint64_t layer, s3proto::Versioning versioning,
                              ByteView key, const Bytes& owner, UnixMicros now);

struct FoundVersion {
  volume::Entry entry;
  bool current = false;
  Bytes key;  // in its layer
};
/// The version of that id, delete markers too; nothing when there is none.
Result<std::optional<FoundVersion>> find_version(volume::Transaction& transaction, ByteView key, ByteView id);
/// DELETE of a version: the next newest becomes current where it was. Nothing: there is no such version.
Result<Written> delete_version(volume::Transaction& transaction, ByteView key, const FoundVersion& version);
/// The newest former version; nothing: none.
Result<std::optional<FoundVersion>> newest_former(volume::Transaction& transaction, ByteView key);

}  // namespace hailstone::s3
