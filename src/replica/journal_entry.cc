#include "replica/journal_entry.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/codec.h"
#include "base/hash.h"
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

namespace {
constexpr ByteView kPromisesMagic = "HSPROMIS";
}

Bytes encode_promises(const std::map<paxos::GroupId, paxos::Ballot>& promises) {
  Bytes bytes(kPromisesMagic);
  Encoder out(bytes);
  out.u8(1);
  out.varint(promises.size());
  for (const auto& [id, promised] : promises) {
    out.varint(id.value);
    out.varint(promised.round);
    out.varint(promised.who.value);
  }
  out.u32(crc32c(bytes));
  return bytes;
}

Result<std::map<paxos::GroupId, paxos::Ballot>> decode_promises(ByteView bytes) {
  if (bytes.size() < kPromisesMagic.size() + 4 || !bytes.starts_with(kPromisesMagic))
    return fail(Code::Corrupt, "is no file of promises");
  const ByteView covered = bytes.substr(0, bytes.size() - 4);
  if (Decoder(bytes.substr(covered.size())).u32() != crc32c(covered)) return fail(Code::Corrupt, "fails its checksum");
  Decoder in(covered.substr(kPromisesMagic.size()));
  if (const uint8_t version = in.u8(); version != 1)
    return fail(Code::Unsupported, fmt::format("is of version {}, this program reads 1", version));
  std::map<paxos::GroupId, paxos::Ballot> promises;
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    paxos::Ballot& promised = promises[paxos::GroupId(in.varint())];
    promised.round = in.varint();
    promised.who = paxos::ReplicaId(in.varint());
  }
  if (!in.done()) return fail(Code::Corrupt, "is not as long as it says");
  return promises;
}

Bytes encode_current(uint64_t log) { return fmt::format("{}\n{:08x}\n", log, crc32c(fmt::format("{}", log))); }

Result<uint64_t> decode_current(ByteView bytes) {
  uint64_t log = 0;
  const ByteView digits = bytes.substr(0, bytes.find('\n'));
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), log);
  if (parsed.ec != std::errc() || bytes != encode_current(log))
    return fail(Code::Corrupt, fmt::format("says \"{}\"", printable(bytes)));
  return log;
}

std::string log_directory(const std::string& journal, uint64_t log) {
  return log == 1 ? journal : fmt::format("{}/log-{}", journal, log);
}

}  // namespace hailstone::replica
