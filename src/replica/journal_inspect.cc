#include "replica/journal_inspect.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::replica {
namespace {

using paxos::GroupId;

void take_in(const JournalEntry& entry, JournalGroupReport& group) {
  ++group.entries;
  if (entry.hard) {
    const auto promised = std::max(group.hard.promised, entry.hard->promised);
    group.hard = *entry.hard;
    group.hard.promised = promised;
  }
  if (entry.floor && *entry.floor >= group.floor) {
    group.floor = *entry.floor;
    group.slots.erase(group.slots.begin(), group.slots.upper_bound(group.floor));
  }
  group.blind = (group.blind || entry.blind) && !entry.healed;
  for (const paxos::Record& record : entry.records) {
    if (record.slot > group.floor) group.slots.insert(record.slot);
    ++group.kinds[record.kind];
    group.value_bytes += record.data ? record.data->size() : 0;
  }
}

/// Nothing where there is no such file.
Result<std::optional<Bytes>> small_file(disk::Disk& disk, const std::string& path) {
  TRY(const bool there, disk.exists(path));
  if (!there) return std::nullopt;
  TRY(Bytes content, disk::read_file(disk, path, 64u << 20));
  return content;
}

}  // namespace

Result<JournalReport> inspect_journal(
    disk::Disk& disk, const std::string& directory, uint64_t log,
    const std::function<Result<void>(const log::RecordPlace&, const JournalEntry&)>& visit) {
  JournalReport report;
  std::vector<log::Damage> beside;
  TRY(const auto current, small_file(disk, directory + "/current"));
  if (current) {
    const auto number = decode_current(*current);
    if (number)
      report.current = *number;
    else
      beside.push_back({.path = directory + "/current", .offset = 0, .what = number.error().message});
  }
  report.log = log ? log : report.current;
  TRY(const auto promises, small_file(disk, directory + "/promises"));
  if (promises) {
    const auto decoded = decode_promises(*promises);
    report.promises_kept = decoded.has_value();
    if (decoded)
      for (const auto& [id, promised] : *decoded) report.groups[id].promised_beside = promised;
    else
      beside.push_back({.path = directory + "/promises", .offset = 0, .what = decoded.error().message});
  }
  std::vector<log::Damage> entries;
  TRY(report.files, log::inspect(disk, log_directory(directory, report.log),
                                 [&](const log::RecordPlace& place, ByteView body) -> Result<void> {
                                   const auto entry = decode_journal_entry(body);
                                   if (!entry) {
                                     entries.push_back({.path = place.segment.path,
                                                        .offset = place.batch_offset,
                                                        .what = fmt::format("entry {}: {}", place.slot.value,
                                                                            entry.error().message)});
                                     return {};
                                   }
                                   take_in(*entry, report.groups[entry->group]);
                                   return visit(place, *entry);
                                 }));
  if (report.files.segments.empty() && !current && !promises)
    return fail(Code::NotFound, fmt::format("{}: holds no log", directory));
  auto& damages = report.files.damages;
  if (report.files.segments.empty())
    damages.push_back({.path = log_directory(directory, report.log), .offset = 0, .what = "has no segment"});
  damages.insert(damages.end(), entries.begin(), entries.end());
  damages.insert(damages.end(), beside.begin(), beside.end());
  return report;
}

}  // namespace hailstone::replica
