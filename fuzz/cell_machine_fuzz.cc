// Feeds the cell's machine any bytes: as commands one after the other, with its invariants checked after each, and as
// damage to the database that they made, which may stop it but not bring it down.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "cell/invariants.h"
#include "cell/machine.h"
#include "cell/query.h"
#include "cell/random_commands.h"

using namespace hailstone;
using namespace hailstone::cell;

namespace {

Result<Bytes> apply(replica::Database& database, uint64_t slot, ByteView command) {
  replica::Batch batch;
  auto reply = Machine().apply(Slot(slot), command, database, batch);
  if (reply) {
    CHECK(Reply::decode(*reply).has_value());
    CHECK(database.write(batch).has_value());
  }
  return reply;
}

void read_all(const replica::Reader& state) {
  (void)dump(state, [](const Bytes&) {});
  (void)check_invariants(state);
  (void)events_after(state, {}, "/", 100);
  (void)list(state, List{.path = "/", .depth = List::Depth::Files, .after = {}, .entries_max = 0});
  for (uint64_t session = 1; session < 5; ++session) (void)holds_of(state, SessionId(session));
}

/// A byte below 128: that many bytes of a command follow; any other: one drawn from it and the next.
void commands(Decoder& in, replica::Database& database, bool damaged) {
  RandomCommands random;
  for (uint64_t slot = 1; in.ok() && !in.rest().empty() && slot < 150; ++slot) {
    const uint8_t first = in.u8();
    Result<Bytes> reply;
    if (first < 128) {
      reply = apply(database, slot, in.raw(std::min<size_t>(first, in.rest().size())));
    } else if (!list_sessions(database, {}, 100)) {
      return;  // damaged
    } else {
      reply = apply(database, slot, random.draw(first * 256u + in.u8(), database).encode());
    }
    if (!reply) {
      CHECK(reply.error().code == Code::Unsupported || (damaged && reply.error().code == Code::Corrupt));
      return;
    }
    if (!damaged) CHECK(check_invariants(database).has_value());
  }
}

/// Which row (u8), and what it becomes: cut to a length (u8), and a byte (u8) of it changed (u8).
void damage(Decoder& in, replica::Database& database) {
  std::vector<std::pair<Bytes, Bytes>> rows;
  for (auto at = database.iterate("", "\xff"); at->valid(); at->next()) rows.emplace_back(at->key(), at->value());
  replica::Batch batch;
  for (int i = 0; i < 3 && !rows.empty() && in.rest().size() >= 4; ++i) {
    auto& [key, value] = rows[in.u8() % rows.size()];
    const uint8_t length = in.u8(), where = in.u8(), mask = in.u8();
    if (length > 0) value.resize(std::min<size_t>(length, value.size()));
    if (where < value.size()) value[where] = static_cast<char>(value[where] ^ mask);
    batch.put(key, value);
  }
  CHECK(database.write(batch).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto database = replica::make_memory_database();
  // As many bytes at the end as the first byte says damage the database, and command what is left of it.
  const size_t tail = std::min<size_t>(data[0], bytes.size());
  Decoder sound(bytes.substr(0, bytes.size() - tail));
  commands(sound, *database, false);
  if (tail == 0) return 0;
  Decoder rest(bytes.substr(bytes.size() - tail));
  damage(rest, *database);
  read_all(*database);
  commands(rest, *database, true);
  read_all(*database);
  return 0;
}
