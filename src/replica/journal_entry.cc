#include "replica/journal_entry.h"

#include <fmt/format.h>

#include <utility>

#include "base/codec.h"
#include "paxos/wire.h"

namespace hailstone::replica {
namespace {

constexpr uint8_t kEntryVersion = 1;
enum Flag : uint8_t { kHard = 1, kFloor = 2, kHealed = 4, kBlind = 8, kFlags = 15 };

}  // namespace

Bytes encode(const JournalEntry& entry, std::span<const paxos::Record> records) {
  Bytes out;
  Encoder to(out);
  to.u8(kEntryVersion);
  to.varint(entry.group.value);
  to.u8(static_cast<uint8_t>((entry.hard ? kHard : 0) | (entry.floor ? kFloor : 0) | (entry.healed ? kHealed : 0) |
                             (entry.blind ? kBlind : 0)));
  if (entry.hard) paxos::encode(*entry.hard, to);
  if (entry.floor) to.varint(entry.floor->value);
  to.varint(records.size());
  for (const paxos::Record& record : records) paxos::encode(record, to);
  return out;
}

Result<JournalEntry> decode_journal_entry(ByteView bytes) {
  Decoder in(bytes);
  if (const uint8_t version = in.u8(); version != kEntryVersion)
    return fail(Code::Unsupported,
                fmt::format("journal entry of version {}, this program reads {}", version, kEntryVersion));
  JournalEntry entry;
  entry.group = paxos::GroupId(in.varint());
  const uint8_t flags = in.u8();
  if (flags & ~kFlags)
    return fail(Code::Unsupported, fmt::format("journal entry with flags {:#x}: written by a later version", flags));
  if (flags & kHard) {
    TRY(entry.hard, paxos::decode_hard_state(in));
  }
  if (flags & kFloor) entry.floor = Slot(in.varint());
  entry.healed = flags & kHealed;
  entry.blind = flags & kBlind;
  const uint64_t count = in.varint();
  if (!in.ok() || count > bytes.size()) return fail(Code::Corrupt, "journal entry cut short");
  for (uint64_t i = 0; i < count; ++i) {
    TRY(auto record, paxos::decode_record(in));
    entry.records.push_back(std::move(record));
  }
  if (!in.done()) return fail(Code::Corrupt, "journal entry with bytes left over");
  return entry;
}

}  // namespace hailstone::replica
