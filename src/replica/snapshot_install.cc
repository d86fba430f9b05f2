#include "replica/snapshot_install.h"

#include <fmt/format.h>

#include "base/codec.h"
#include "replica/place.h"

namespace hailstone::replica {
namespace {

struct Mark {
  Slot upto;
  paxos::Digest digest;
  bool complete = false;
  Bytes cursor;
};

Bytes encode(const Mark& mark) {
  Bytes out;
  Encoder to(out);
  to.varint(mark.upto.value);
  to.u64(mark.digest.low);
  to.u64(mark.digest.high);
  to.u8(mark.complete);
  to.bytes(mark.cursor);
  return out;
}

Result<Mark> decode(ByteView bytes) {
  Decoder in(bytes);
  Mark mark;
  mark.upto = Slot(in.varint());
  mark.digest.low = in.u64();
  mark.digest.high = in.u64();
  mark.complete = in.u8() == 1;
  mark.cursor = Bytes(in.bytes());
  if (!in.done()) return fail(Code::Corrupt, "the mark of a snapshot that is being installed means nothing");
  return mark;
}

}  // namespace

Result<Bytes> SnapshotInstall::begin(const paxos::SnapshotMeta& meta) {
  meta_ = meta;
  TRY(const auto value, database_.staged(kInstallKey));
  if (value) {
    const auto mark = decode(*value);
    if (mark && mark->upto == meta.upto && mark->digest == meta.digest) return mark->cursor;
  }
  TRY_DO(database_.discard_staged());
  return Bytes();
}

Result<Bytes> SnapshotInstall::add(const SnapshotPiece& piece) {
  Batch batch;
  for (const auto& [key, value] : piece.entries) batch.put(key, value);
  const Bytes cursor = piece.entries.empty() ? piece.after : piece.entries.back().first;
  batch.put(Bytes(kInstallKey), encode({.upto = meta_.upto, .digest = meta_.digest, .cursor = cursor}));
  TRY_DO(database_.stage(batch));
  return cursor;
}

Result<void> SnapshotInstall::complete() {
  TRY(const auto value, database_.staged(kAppliedKey));
  if (!value) return fail(Code::Corrupt, "the snapshot does not say where in the log it is");
  TRY(const Place place, Place::decode(*value));
  if (place.at.upto != meta_.upto || place.at.digest != meta_.digest)
    return fail(Code::Corrupt, fmt::format("the snapshot is at slot {}, but slot {} was offered", place.at.upto.value,
                                           meta_.upto.value));
  Batch batch;
  batch.put(Bytes(kInstallKey), encode({.upto = meta_.upto, .digest = meta_.digest, .complete = true, .cursor = {}}));
  TRY_DO(database_.stage(batch));
  return database_.flush();
}

Result<Slot> SnapshotInstall::completed() const {
  const auto value = database_.staged(kInstallKey);
  if (!value && value.error().code == Code::Unsupported) return Slot();
  if (!value) return std::unexpected(value.error());
  if (!*value) return Slot();
  TRY(const Mark mark, decode(**value));
  return mark.complete ? mark.upto : Slot();
}

Result<void> SnapshotInstall::adopt() { return database_.adopt_staged(); }

}  // namespace hailstone::replica
