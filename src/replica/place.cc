#include "replica/place.h"

#include <fmt/format.h>

#include "base/codec.h"
#include "base/hash.h"
#include "paxos/wire.h"

namespace hailstone::replica {

void Place::changed_by(const Batch& batch) {
  for (const auto& op : batch.ops()) {
    const uint64_t parts[] = {checksum, static_cast<uint64_t>(op.kind), xxh3(op.key), xxh3(op.value)};
    checksum = xxh3({reinterpret_cast<const char*>(parts), sizeof parts});
  }
}

Bytes Place::encode() const {
  Bytes out;
  Encoder to(out);
  paxos::encode(at, to);
  to.u64(checksum);
  return out;
}

Result<Place> Place::decode(ByteView bytes) {
  Decoder in(bytes);
  auto at = paxos::decode_snapshot_meta(in);
  const uint64_t checksum = in.u64();
  if (!at || !in.done())
    return fail(Code::Corrupt,
                fmt::format("the database's place in the log is {} bytes that mean nothing", bytes.size()));
  return Place{.at = std::move(*at), .checksum = checksum};
}

}  // namespace hailstone::replica
