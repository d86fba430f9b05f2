#include "volume/schema.h"

#include <fmt/format.h>

#include "base/codec.h"

namespace hailstone::volume::schema {
namespace {

Bytes numbered(char table, VolumeId volume) { return Bytes(1, table) + big_endian(volume.value); }

}  // namespace

Bytes big_endian(uint64_t value) {
  Bytes out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (56 - 8 * i));
  return out;
}

uint64_t from_big_endian(ByteView eight) {
  uint64_t value = 0;
  for (char c : eight.substr(0, 8)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

Bytes meta() { return "M"; }
Bytes volume(ByteView name) { return "V" + Bytes(name); }
Bytes layer(VolumeId volume, uint64_t layer) { return numbered('L', volume) + big_endian(layer); }
Bytes edits(VolumeId volume, uint64_t layer, uint64_t generation) {
  return numbered('E', volume) + big_endian(layer) + big_endian(generation);
}
Bytes edit(VolumeId volume, uint64_t layer, uint64_t generation, ByteView key) {
  return edits(volume, layer, generation).append(key);
}
Bytes draft(VolumeId volume, DraftId draft) { return numbered('D', volume) + big_endian(draft.value); }
Bytes release(VolumeId volume, ReleaseNumber release) { return numbered('R', volume) + big_endian(release.value); }
Bytes flips(VolumeId volume, ByteView channel) { return numbered('F', volume).append(channel) + Bytes(1, '\0'); }
Bytes flip(VolumeId volume, ByteView channel, uint64_t sequence) {
  return flips(volume, channel) + big_endian(~sequence);
}
Bytes tag(VolumeId volume, ByteView tag) { return numbered('T', volume).append(tag); }
Bytes hold(VolumeId volume, ReleaseNumber release, ByteView name) {
  return (numbered('H', volume) + big_endian(release.value)).append(name);
}
Bytes trashed(VolumeId volume, ReleaseNumber release) { return numbered('X', volume) + big_endian(release.value); }
Bytes audit(Slot slot) { return "A" + big_endian(slot.value); }
Bytes access_key(ByteView id) { return "K" + Bytes(id); }
Bytes reply(ByteView author, uint8_t command, ByteView idempotency_key) {
  Bytes out = "I" + Bytes(author);
  out.push_back('\0');
  out.push_back(static_cast<char>(command));
  return out.append(idempotency_key);
}
Bytes reply_age(UnixMicros time, ByteView reply_key) {
  return "J" + big_endian(static_cast<uint64_t>(time.value)).append(reply_key);
}

Bytes end_of(ByteView prefix) {
  // Prefixes here start with an ASCII letter, so there always is a successor.
  return *tree::prefix_successor(prefix);
}

Bytes encode_edit(const std::optional<Bytes>& entry, uint64_t weight) {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(entry.has_value());
  if (entry) {
    out.varint(weight);
    out.raw(*entry);
  }
  return bytes;
}

Result<Edit> decode_edit(ByteView bytes) {
  Decoder in(bytes);
  Edit edit;
  const uint8_t present = in.u8();
  if (present > 1) in.poison();
  edit.removed = present == 0;
  if (present == 1) {
    edit.weight = in.varint();
    edit.entry = in.rest();
  }
  if (!in.ok() || (edit.removed && !in.done())) return fail(Code::Corrupt, "edit record: malformed");
  return edit;
}

uint64_t delta_hash(ByteView raw_edit) { return xxh3(raw_edit); }

Result<Layer> read_layer(const replica::Reader& state, VolumeId volume, uint64_t number) {
  TRY(auto bytes, state.get(layer(volume, number)));
  if (!bytes && is_own_layer(number)) return Layer{};
  if (!bytes)
    return fail(Code::NotFound, number == kHeadLayer ? "volume has no head" : fmt::format("no draft {}", number));
  Decoder in(*bytes);
  Layer out = Layer::decode(in);
  if (!in.done())
    return fail(Code::Corrupt, fmt::format("layer record {} of volume {}: malformed", number, volume.value));
  return out;
}

Result<std::optional<Bytes>> newest_edit(const replica::Reader& state, VolumeId volume, uint64_t layer,
                                         const Layer& record, ByteView key) {
  TRY(auto active, state.get(edit(volume, layer, record.active, key)));
  if (active || record.frozen == 0) return active;
  return state.get(edit(volume, layer, record.frozen, key));
}

}  // namespace hailstone::volume::schema
