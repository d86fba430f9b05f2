// Keys of the group's database, one letter a table; numbers big-endian so that byte order is their order
// (docs/formats/state.md).
#pragma once

#include "base/bytes.h"
#include "base/ids.h"
#include "replica/database.h"
#include "volume/records.h"

namespace hailstone::volume::schema {

Bytes big_endian(uint64_t value);
uint64_t from_big_endian(ByteView eight);

Bytes meta();                                                                    // Meta
Bytes volume(ByteView name);                                                     // VolumeRecord
Bytes layer(VolumeId volume, uint64_t layer);                                    // Layer
Bytes edits(VolumeId volume, uint64_t layer, uint64_t generation);               // prefix of edit()
Bytes edit(VolumeId volume, uint64_t layer, uint64_t generation, ByteView key);  // encode_edit()
Bytes draft(VolumeId volume, DraftId draft);                                     // DraftRecord
Bytes release(VolumeId volume, ReleaseNumber release);                           // ReleaseRecord
Bytes flips(VolumeId volume, ByteView channel);                                  // prefix of flip(), newest first
Bytes flip(VolumeId volume, ByteView channel, uint64_t sequence);                // Flip
Bytes tag(VolumeId volume, ByteView tag);                                        // varint release
Bytes hold(VolumeId volume, ReleaseNumber release, ByteView name);               // since, reason
Bytes trashed(VolumeId volume, ReleaseNumber release);                           // svarint: since when
Bytes audit(Slot slot);                                                          // AuditRecord
Bytes access_key(ByteView id);                                                   // AccessKey
Bytes reply(ByteView author, uint8_t command, ByteView idempotency_key);         // Reply
Bytes reply_age(UnixMicros time, ByteView reply_key);                            // empty: the replies in order of age

/// First key after every key of a table (or with a prefix).
Bytes end_of(ByteView prefix);

/// A key's record in a layer: removed, or an encoded entry with its weight.
struct Edit {
  bool removed = false;
  ByteView entry;  // into the decoded bytes
  uint64_t weight = 0;
};
Bytes encode_edit(const std::optional<Bytes>& entry, uint64_t weight);
Result<Edit> decode_edit(ByteView bytes);
uint64_t delta_hash(ByteView raw_edit);

Result<Layer> read_layer(const replica::Reader& state, VolumeId volume, uint64_t layer);
/// The raw edit of a key in the newest generation that has one.
Result<std::optional<Bytes>> newest_edit(const replica::Reader& state, VolumeId volume, uint64_t layer,
                                         const Layer& record, ByteView key);

}  // namespace hailstone::volume::schema
