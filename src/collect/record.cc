#include "collect/record.h"

#include <fmt/format.h>

#include "base/codec.h"
#include "volume/schema.h"

namespace hailstone::collect {
namespace {

constexpr uint8_t kTrash = 0;
constexpr uint8_t kCounted = 1;

Kind decode_kind(Decoder& in) {
  const uint8_t kind = in.u8();
  if (kind > static_cast<uint8_t>(Kind::List3)) in.poison();
  return static_cast<Kind>(kind);
}

std::unexpected<Error> malformed(std::string_view what, ByteView bytes) {
  return fail(Code::Corrupt, fmt::format("collector's {} {}: malformed", what, to_hex(bytes.substr(0, 80))));
}

}  // namespace

Bytes Record::encode() const {
  Bytes out;
  Encoder encoder(out);
  encoder.u8(trash() ? kTrash : kCounted);
  if (trash()) {
    encoder.svarint(since.value);
    encoder.varint(run);
    return out;
  }
  for (const Count& count : counts) {
    encoder.u8(static_cast<uint8_t>(count.kind));
    encoder.varint(count.count);
  }
  return out;
}

Result<Record> Record::decode(ByteView bytes) {
  Decoder in(bytes);
  Record out;
  const uint8_t tag = in.u8();
  if (tag == kTrash) {
    out.since = UnixMicros{in.svarint()};
    out.run = in.varint();
  } else if (tag == kCounted) {
    do {
      const Kind kind = decode_kind(in);
      const uint64_t count = in.varint();
      if (count == 0 || (!out.counts.empty() && out.counts.back().kind >= kind)) in.poison();
      out.counts.push_back({.kind = kind, .count = count});
    } while (in.ok() && !in.rest().empty());
  } else {
    in.poison();
  }
  if (!in.done()) return malformed("record", bytes);
  return out;
}

Bytes Work::encode() const {
  Bytes out;
  Encoder encoder(out);
  encoder.u8(static_cast<uint8_t>(sign));
  encoder.u8(static_cast<uint8_t>(what.kind));
  encoder.hash(what.id);
  encoder.varint(what.bytes);
  return out;
}

Result<Work> Work::decode(ByteView bytes) {
  Decoder in(bytes);
  Work out;
  const uint8_t sign = in.u8();
  if (sign != 1 && sign != 2) in.poison();
  out.sign = static_cast<Sign>(sign);
  out.what.kind = decode_kind(in);
  out.what.id = ChunkId(in.hash());
  out.what.bytes = in.varint();
  if (!in.done()) return malformed("work", bytes);
  return out;
}

Bytes Meta::encode() const {
  Bytes out;
  Encoder encoder(out);
  encoder.varint(runs);
  encoder.svarint(time.value);
  encoder.varint(added.segment);
  encoder.varint(added.offset);
  encoder.u8(recount);
  return out;
}

Result<Meta> Meta::decode(ByteView bytes) {
  Decoder in(bytes);
  Meta out;
  out.runs = in.varint();
  out.time = UnixMicros{in.svarint()};
  const uint64_t segment = in.varint();
  if (segment > UINT32_MAX) in.poison();
  out.added = {.segment = static_cast<uint32_t>(segment), .offset = in.varint()};
  const uint8_t recount = in.u8();
  if (recount > 1) in.poison();
  out.recount = recount == 1;
  if (!in.done()) return malformed("meta", bytes);
  return out;
}

namespace keys {

Bytes of_chunk(char table, const ChunkId& id) { return Bytes(1, table).append(id.view()); }
Bytes record(const ChunkId& id) { return of_chunk('C', id); }
Bytes trash(UnixMicros since, const ChunkId& id) {
  return ("X" + volume::schema::big_endian(static_cast<uint64_t>(since.value))).append(id.view());
}
Bytes root(const volume::RootRef& ref) {
  // The owner first and its length nowhere: what follows is of one size.
  return ("R" + ref.owner).append(1, static_cast<char>(ref.kind)).append(ref.root.id.view());
}
Bytes work(uint64_t number) { return "W" + volume::schema::big_endian(number); }

Result<ChunkId> chunk_of(char table, ByteView key) {
  if (key.size() != 33 || key[0] != table) return malformed("key of a chunk", key);
  return ChunkId(Hash256::from_view(key.substr(1)));
}

Result<std::pair<UnixMicros, ChunkId>> decode_trash(ByteView key) {
  if (key.size() != 41) return malformed("trash key", key);
  return std::pair(UnixMicros{static_cast<int64_t>(volume::schema::from_big_endian(key.substr(1)))},
                   ChunkId(Hash256::from_view(key.substr(9))));
}

Result<volume::RootRef> decode_root(ByteView key) {
  if (key.size() < 35) return malformed("root key", key);
  const auto kind = static_cast<uint8_t>(key[key.size() - 33]);
  if (kind != 1 && kind != 2) return malformed("root key", key);
  return volume::RootRef{.owner = Bytes(key.substr(1, key.size() - 34)),
                         .kind = static_cast<volume::RootKind>(kind),
                         .root = {ChunkId(Hash256::from_view(key.substr(key.size() - 32)))}};
}

Bytes end_of(char table) { return Bytes(1, static_cast<char>(table + 1)); }

}  // namespace keys
}  // namespace hailstone::collect
