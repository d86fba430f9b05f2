#include "replica/journal_boot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hailstone::replica {
namespace {

/// Whether the journal's records from what it knows to be chosen up to `at` are the chosen ones: each names the one
/// before it, and the last is the one that `at` names.
Result<bool> leads_up_to(Journal& journal, paxos::GroupId id, const paxos::HardState& hard,
                         const paxos::SnapshotMeta& at) {
  paxos::Digest last = hard.chosen_digest;
  bool linked = true;
  TRY(const Slot end,
      journal.read(id, hard.chosen.next(), at.upto, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
        linked = linked && record.parent == last;
        last = record.digest;
        return {};
      }));
  return linked && end > at.upto && last == at.digest;
}

}  // namespace

Result<paxos::Boot> boot_from_journal(Journal& journal, paxos::GroupId id, paxos::SnapshotMeta at,
                                      const std::function<Result<void>(const paxos::Record&)>& apply) {
  const JournalGroup kept = journal.group(id);
  bool trusted = !kept.blind;
  if (trusted && at.upto > kept.hard.chosen && at.upto > kept.floor) {
    TRY(trusted, leads_up_to(journal, id, kept.hard, at));
  }
  if (!trusted && at.upto > kept.floor) TRY_DO(journal.append_floor(id, at.upto));
  if (!kept.blind) {
    TRY_DO(journal.read(id, at.upto.next(), kept.hard.chosen, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
      if (!at.advance(record))
        return fail(Code::Corrupt,
                    fmt::format("group {}: slot {} does not follow what is applied", id.value, record.slot.value));
      return apply(record);
    }));
  }
  paxos::Boot boot{.hard = kept.hard, .base = std::move(at), .records = {}, .blind = kept.blind};
  const Slot held = journal.last_held(id);
  for (Slot slot = boot.base.upto.next(); slot <= held; slot = slot.next()) {
    TRY(slot, journal.read(id, slot, held, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
      boot.records.push_back(std::move(record));
      return {};
    }));
  }
  return boot;
}

}  // namespace hailstone::replica
