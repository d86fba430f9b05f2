// Feeds any bytes to the state machine: as commands that are applied one after the other, and as damage to the database
// that they made. What one machine has in memory is what another reads from the same database.
#include <cstddef>
#include <cstdint>
#include <vector>

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

void visit_all(const replica::Reader& database) {
  (void)for_each_root(database, [&](const RootRef& ref) {
    (void)describe_owner(database, ref.owner);
    return Result<void>();
  });
  (void)for_each_unsealed(database, [](ByteView, const chunk::Content&) { return Result<void>(); });
}

/// Lengths (u16) and commands, until one is none: there the group would stop.
void commands(ByteView bytes, replica::Database& database) {
  const auto chunks = chunk::make_memory_store();
  Machine machine(chunks.get());
  CHECK(machine.load(database).has_value());
  Decoder in(bytes);
  for (uint64_t slot = 1; in.ok() && !in.rest().empty() && slot < 200; ++slot) {
    const ByteView command = in.raw(std::min<size_t>(in.u16(), in.rest().size()));
    replica::Batch batch;
    const auto reply = machine.apply(Slot(slot), command, database, batch);
    if (!reply) {
      CHECK(reply.error().code == Code::Corrupt || reply.error().code == Code::Invalid);
      return;
    }
    CHECK(Reply::decode(*reply).has_value());
    CHECK(database.write(batch).has_value());
    machine.applied(Slot(slot));
    Machine reopened;
    CHECK(reopened.load(database).has_value());
    same(*machine.published().load(), *reopened.published().load());
    visit_all(database);
  }
}

/// Which row (u8, u8), and what it becomes: cut to a length (u8), and one byte of it changed (u8).
void damage(ByteView bytes, replica::Database& database) {
  std::vector<std::pair<Bytes, Bytes>> rows;
  for (auto it = database.iterate("", "\xff"); it->valid(); it->next()) rows.emplace_back(it->key(), it->value());
  replica::Batch batch;
  Decoder in(bytes);
  while (!rows.empty() && in.rest().size() >= 4) {
    auto& [key, value] = rows[in.u8() % rows.size()];
    const uint8_t at = in.u8(), length = in.u8(), mask = in.u8();
    if (length > 0) value.resize(std::min<size_t>(length, value.size()));
    if (at < value.size()) value[at] = static_cast<char>(value[at] ^ mask);
    batch.put(key, value);
  }
  CHECK(database.write(batch).has_value());
  Machine machine;
  (void)machine.load(database);
  visit_all(database);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto database = replica::make_memory_database();
  // As many bytes at the end as the first byte says damage the database that the commands before them made.
  const size_t tail = std::min<size_t>(data[0], bytes.size());
  commands(bytes.substr(0, bytes.size() - tail), *database);
  if (tail > 0) damage(bytes.substr(bytes.size() - tail), *database);
  return 0;
}
