// log inspect: what is in the log of a node that is stopped.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "replica/journal_inspect.h"

namespace hailstone::cli {
namespace {

struct InspectArguments {
  std::string directory;
  uint64_t log = 0;
  bool entries = false, in_use = false;
};

std::string ballot_text(paxos::Ballot ballot) {
  return ballot ? fmt::format("{}.{}", ballot.round, ballot.who.value) : "-";
}

const char* kind_name(paxos::Kind kind) {
  switch (kind) {
    case paxos::Kind::Command: return "commands";
    case paxos::Kind::Noop: return "noops";
    case paxos::Kind::Config: return "configs";
    case paxos::Kind::Forwarded: return "forwarded commands";
  }
  return "unknown";
}

std::string kinds_text(const std::map<paxos::Kind, uint64_t>& kinds) {
  std::string out;
  for (const auto& [kind, count] : kinds)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, kind_name(kind));
  return out.empty() ? "-" : out;
}

/// "3-9, 12", at most so many ranges.
std::string slots_text(const std::set<Slot>& slots) {
  constexpr int kRangesMax = 8;
  std::string out;
  int ranges = 0;
  for (auto at = slots.begin(); at != slots.end();) {
    const Slot first = *at;
    Slot last = first;
    for (++at; at != slots.end() && *at == last.next(); ++at) last = *at;
    if (++ranges > kRangesMax) return out + ", ...";
    out += fmt::format("{}{}", out.empty() ? "" : ", ", first.value);
    if (last != first) out += fmt::format("-{}", last.value);
  }
  return out.empty() ? "-" : out;
}

/// A data directory has its log in group-0/log.
Result<std::string> log_of(disk::Disk& disk, const std::string& directory) {
  for (const char* inside : {"/group-0/log", ""}) {
    TRY(const bool there, disk.is_directory(directory + inside));
    if (there) return directory + inside;
  }
  return fail(Code::NotFound, directory + ": no such directory");
}

/// The lock of the node that the directory belongs to, if it does: held while it is looked at. Files that a node writes
/// meanwhile would look damaged.
Result<std::unique_ptr<disk::DirectoryLock>> keep_out(disk::Disk& disk, const std::string& directory) {
  std::string up = directory;
  for (int level = 0; level < 4; ++level, up += "/..") {
    const auto there = disk.exists(up + "/lock");
    const auto version = disk.exists(up + "/VERSION");
    if (!there || !*there || !version || !*version) continue;
    auto lock = disk.lock(up + "/lock");
    if (lock) return lock;
    if (lock.error().code != Code::Unavailable) return nullptr;  // somebody else's files, or a read-only copy
    return fail(Code::Unavailable, fmt::format("{} is in use by a running node: stop it, inspect a copy, or say "
                                               "--in-use and take what it is writing for damage",
                                               directory));
  }
  return nullptr;
}

Json entry_json(const log::RecordPlace& place, const replica::JournalEntry& entry) {
  Json out{{"position", place.slot.value},
           {"file", place.segment.path},
           {"offset", place.batch_offset},
           {"group", entry.group.value}};
  if (entry.hard) out["hard"] = {{"promised", ballot_text(entry.hard->promised)}, {"chosen", entry.hard->chosen.value}};
  if (entry.floor) out["floor"] = entry.floor->value;
  if (entry.blind) out["blind"] = true;
  if (entry.healed) out["healed"] = true;
  Json records = Json::array();
  for (const paxos::Record& record : entry.records)
    records.push_back({{"slot", record.slot.value},
                       {"ballot", ballot_text(record.ballot)},
                       {"kind", kind_name(record.kind)},
                       {"bytes", record.data ? record.data->size() : 0}});
  out["records"] = std::move(records);
  return out;
}

std::string entry_text(const log::RecordPlace& place, const replica::JournalEntry& entry) {
  const std::string file = place.segment.path.substr(place.segment.path.rfind('/') + 1);
  std::string out = fmt::format("{} {}@{} group {}", place.slot.value, file, place.batch_offset, entry.group.value);
  if (entry.hard)
    out += fmt::format(" promised {} chosen {}", ballot_text(entry.hard->promised), entry.hard->chosen.value);
  if (entry.floor) out += fmt::format(" floor {}", entry.floor->value);
  if (entry.blind) out += " blind";
  if (entry.healed) out += " healed";
  if (entry.records.empty()) return out;
  std::set<Slot> slots;
  std::map<paxos::Kind, uint64_t> kinds;
  uint64_t bytes = 0;
  for (const paxos::Record& record : entry.records) {
    slots.insert(record.slot);
    ++kinds[record.kind];
    bytes += record.data ? record.data->size() : 0;
  }
  return out + fmt::format(" slots {} by {}: {}, {} B", slots_text(slots), ballot_text(entry.records.back().ballot),
                           kinds_text(kinds), bytes);
}

Json report_json(const std::string& directory, const replica::JournalReport& report) {
  Json out{{"directory", directory}, {"log", report.log}, {"current", report.current}};
  Json segments = Json::array(), groups = Json::array(), damages = Json::array();
  for (const auto& segment : report.files.segments)
    segments.push_back({{"file", segment.path},
                        {"number", segment.number},
                        {"bytes", segment.bytes},
                        {"used_bytes", segment.used_bytes},
                        {"batches", segment.batches},
                        {"first", segment.first.value},
                        {"last", segment.last.value},
                        {"torn", segment.torn}});
  for (const auto& [id, group] : report.groups) {
    Json kinds = Json::object();
    for (const auto& [kind, count] : group.kinds) kinds[kind_name(kind)] = count;
    groups.push_back({{"group", id.value},
                      {"entries", group.entries},
                      {"promised", ballot_text(group.hard.promised)},
                      {"promised_beside", ballot_text(group.promised_beside)},
                      {"chosen", group.hard.chosen.value},
                      {"floor", group.floor.value},
                      {"blind", group.blind},
                      {"slots", slots_text(group.slots)},
                      {"slots_held", group.slots.size()},
                      {"records", kinds},
                      {"value_bytes", group.value_bytes}});
  }
  for (const log::Damage& damage : report.files.damages)
    damages.push_back({{"file", damage.path}, {"offset", damage.offset}, {"what", damage.what}});
  out["segments"] = std::move(segments);
  out["groups"] = std::move(groups);
  out["damages"] = std::move(damages);
  return out;
}

void print_report(const Context& context, const std::string& directory, const replica::JournalReport& report) {
  using enum Table::Align;
  std::ostream& out = context.out();
  if (report.log != report.current)
    out << fmt::format("log {} of {}, set aside: log {} counts\n", report.log, directory, report.current);
  else if (report.log > 1)
    out << fmt::format("log {} of {}: those before it were damaged and set aside\n", report.log, directory);
  Table segments({{"SEGMENT"}, {"SIZE", Right}, {"USED", Right}, {"BATCHES", Right}, {"POSITIONS"}, {""}});
  for (const auto& segment : report.files.segments)
    segments.row({segment.path.substr(segment.path.rfind('/') + 1), format_size(segment.bytes),
                  format_size(segment.used_bytes), fmt::format("{}", segment.batches),
                  segment.first ? fmt::format("{}-{}", segment.first.value, segment.last.value) : "-",
                  segment.torn.empty() ? "" : "unfinished write, to be cut: " + segment.torn});
  segments.print(out);
  out << '\n';
  Table groups(
      {{"GROUP"}, {"PROMISED"}, {"CHOSEN", Right}, {"FLOOR", Right}, {"SLOTS"}, {"RECORDS"}, {"VALUES", Right}, {""}});
  for (const auto& [id, group] : report.groups) {
    const bool higher = group.promised_beside > group.hard.promised;
    groups.row({fmt::format("{}", id.value), ballot_text(std::max(group.hard.promised, group.promised_beside)),
                fmt::format("{}", group.hard.chosen.value), fmt::format("{}", group.floor.value),
                slots_text(group.slots), kinds_text(group.kinds), format_size(group.value_bytes),
                std::string(group.blind ? "blind: records were lost" : "") +
                    (higher ? " promised in the file beside the log only" : "")});
  }
  groups.print(out);
  if (report.files.damages.empty()) return;
  out << "\nDAMAGE\n";
  for (const log::Damage& damage : report.files.damages)
    out << fmt::format("{} at {}: {}\n", damage.path, damage.offset, damage.what);
}

Result<int> inspect(Context& context, const InspectArguments& arguments) {
  const auto disk = disk::make_real_disk();
  TRY(const std::string directory, log_of(*disk, arguments.directory));
  std::unique_ptr<disk::DirectoryLock> lock;
  if (!arguments.in_use) {
    TRY(lock, keep_out(*disk, directory));
  }
  Json entries = Json::array();
  TRY(const auto report,
      replica::inspect_journal(*disk, directory, arguments.log,
                               [&](const log::RecordPlace& place, const replica::JournalEntry& entry) -> Result<void> {
                                 if (!arguments.entries) return {};
                                 if (context.json)
                                   entries.push_back(entry_json(place, entry));
                                 else
                                   context.out() << entry_text(place, entry) << '\n';
                                 return {};
                               }));
  if (context.json) {
    Json out = report_json(directory, report);
    if (arguments.entries) out["entries"] = std::move(entries);
    context.out() << out.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    if (arguments.entries) context.out() << '\n';
    print_report(context, directory, report);
  }
  return report.files.damages.empty() ? kExitOk : exit_code_of(Code::Corrupt);
}

}  // namespace

void add_log_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* log = app.add_subcommand("log", "Look at a node's replicated log on this machine's disk");
  log->require_subcommand(1);
  auto* command = log->add_subcommand(
      "inspect", "Segments, what each group has in them, and damage with its file and offset; changes nothing");
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("DIR", arguments->directory, "Data directory of a stopped node, or the log's own")->required();
  command->add_flag("--entries", arguments->entries, "Every entry first, one a line");
  command->add_option("--log", arguments->log, "One that was set aside as damaged, by its number");
  command->add_flag("--in-use", arguments->in_use, "Though a node is running on it");
  command->footer("Exit code 9: something is damaged.");
  commands.choose_when_parsed(command, [&context, arguments] { return inspect(context, *arguments); });
}

}  // namespace hailstone::cli
