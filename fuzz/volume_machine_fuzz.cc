// Feeds any bytes to the state machine: as commands that are applied one after the other, and as rows of a database
// that is loaded. What one machine has in memory is what another reads from the same database.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/codec.h"
#include "chunk/store.h"
#include "replica/database.h"
#include "volume/machine.h"
#include "volume/roots.h"

using namespace hailstone;
using namespace hailstone::volume;

namespace {

void same(const State& a, const State& b) {
  CHECK(a.time == b.time && a.volumes.size() == b.volumes.size() && a.keys.size() == b.keys.size());
  for (const auto& [name, v] : a.volumes) {
    const auto other = b.find(name);
    CHECK(other && other->record == v->record && other->tags == v->tags && other->trashed == v->trashed);
    CHECK(other->channels.size() == v->channels.size());
    for (const auto& [channel, flips] : v->channels) CHECK(*other->channels.at(channel) == *flips);
  }
  for (const auto& [id, key] : a.keys) CHECK(*b.keys.at(id) == *key);
}

void commands(ByteView bytes) {
  const auto database = replica::make_memory_database();
  const auto chunks = chunk::make_memory_store();
  Machine machine(chunks.get());
  CHECK(machine.load(*database).has_value());
  Decoder in(bytes);
  for (uint64_t slot = 1; in.ok() && !in.rest().empty() && slot < 200; ++slot) {
    const ByteView command = in.raw(std::min<size_t>(in.u16(), in.rest().size()));
    replica::Batch batch;
    const auto reply = machine.apply(Slot(slot), command, *database, batch);
    if (!reply) {  // not a command: the group would stop here
      CHECK(reply.error().code == Code::Corrupt || reply.error().code == Code::Invalid);
      return;
    }
    CHECK(Reply::decode(*reply).has_value());
    CHECK(database->write(batch).has_value());
    machine.applied(Slot(slot));
    Machine reopened;
    CHECK(reopened.load(*database).has_value());
    same(*machine.published().load(), *reopened.published().load());
    (void)for_each_root(*database, [](const RootRef&) { return Result<void>(); });
    (void)for_each_unsealed(*database, [](ByteView, const chunk::Content&) { return Result<void>(); });
  }
}

void rows(ByteView bytes) {
  const auto database = replica::make_memory_database();
  replica::Batch batch;
  Decoder in(bytes);
  while (in.ok() && !in.rest().empty()) {
    const Bytes key(in.raw(std::min<size_t>(in.u8(), in.rest().size())));
    batch.put(key, Bytes(in.raw(std::min<size_t>(in.u16(), in.rest().size()))));
  }
  CHECK(database->write(batch).has_value());
  Machine machine;
  (void)machine.load(*database);
  (void)for_each_root(*database, [](const RootRef&) { return Result<void>(); });
  (void)for_each_unsealed(*database, [](ByteView, const chunk::Content&) { return Result<void>(); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    commands(bytes);
  } else {
    rows(bytes);
  }
  return 0;
}
