#include "replica/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "paxos/fifo.h"
#include "replica/journal_entry.h"

namespace hailstone::replica {
namespace {

using paxos::GroupId;
using paxos::HardState;
using paxos::Record;

/// Positions whose liveness is counted together.
constexpr uint64_t kBucketPositions = 16;

class LogJournal final : public Journal {
 public:
  LogJournal(disk::Disk& disk, const JournalOptions& options, Logger& logger)
      : disk_(disk), options_(options), logger_(logger) {}

  Result<void> recover();

  std::vector<GroupId> groups() const override {
    std::vector<GroupId> ids;
    for (const auto& [id, group] : groups_) ids.push_back(id);
    return ids;
  }
  JournalGroup group(GroupId id) const override {
    const auto found = groups_.find(id);
    if (found == groups_.end()) return {};
    return {.hard = found->second.hard, .floor = found->second.floor, .blind = found->second.blind};
  }
  Slot last_held(GroupId id) const override {
    const auto found = groups_.find(id);
    return found == groups_.end() || found->second.positions.empty()
               ? Slot(0)
               : Slot(found->second.first.value + found->second.positions.size() - 1);
  }
  Result<void> append(GroupId id, const paxos::Write& write) override {
    JournalEntry entry{.group = id};
    if (write.has_hard) entry.hard = write.hard;
    return append_entry(entry, write.records);
  }
  Result<void> append_floor(GroupId id, Slot floor) override { return append_entry({.group = id, .floor = floor}, {}); }
  Result<void> append_healed(GroupId id) override { return append_entry({.group = id, .healed = true}, {}); }
  Result<void> sync() override;
  Result<Slot> read(GroupId id, Slot first, Slot last, uint64_t bytes_max,
                    const std::function<Result<void>(Record)>& visit) override;
  Result<void> trim(GroupId id, Slot upto) override;
  uint64_t size_bytes() const override { return log_->size_bytes(); }

 private:
  struct Group {
    HardState hard;
    uint64_t hard_position = 0;
    paxos::Ballot logged;  // the highest promise in the log itself
    Slot floor;
    uint64_t floor_position = 0;
    bool blind = false;
    uint64_t blind_position = 0;
    Slot trimmed;
    Slot first{1};                    // of positions
    paxos::Fifo<uint64_t> positions;  // by slot; 0: not held
  };

  Result<void> append_entry(const JournalEntry& entry, std::span<const Record> records);
  void take_in(const JournalEntry& entry, uint64_t position);
  void place(Group& group, Slot slot, uint64_t position);
  void move(uint64_t& from, uint64_t to);
  void forget_upto(Group& group, Slot upto);
  Result<void> release();
  Result<void> drop_needless();
  Result<void> tidy();
  Result<uint64_t> current_log() const;
  Result<std::unique_ptr<log::Log>> open_log(uint64_t number) const;
  Result<std::unique_ptr<log::Log>> open_known_log(uint64_t number) const;
  Result<void> set_aside(uint64_t damaged);
  Result<void> load_promises();
  Result<void> save_changed_promises();
  Result<void> keep_promises_twice();
  bool keeps_promises() const { return options_.damage == JournalOptions::Damage::Salvage; }
  std::string promises_path() const { return options_.log.directory + "/promises"; }

  disk::Disk& disk_;
  const JournalOptions options_;
  Logger& logger_;
  std::unique_ptr<log::Log> log_;
  std::map<GroupId, Group> groups_;
  std::map<uint64_t, uint64_t> live_;  // bucket of positions -> how many are needed
  uint64_t durable_ = 0;               // position
  bool promises_changed_ = false;
  bool release_due_ = false;  // something was trimmed since what is needless was dropped
};

void LogJournal::move(uint64_t& from, uint64_t to) {
  if (from) {
    const auto bucket = live_.find(from / kBucketPositions);
    CHECK(bucket != live_.end());
    if (--bucket->second == 0) live_.erase(bucket);
  }
  if (to) ++live_[to / kBucketPositions];
  from = to;
}

void LogJournal::place(Group& group, Slot slot, uint64_t position) {
  if (slot <= group.floor || slot <= group.trimmed) return;
  if (group.positions.empty()) group.first = slot;
  while (slot < group.first) {
    group.positions.push_front(0);
    group.first = Slot(group.first.value - 1);
  }
  while (slot.value >= group.first.value + group.positions.size()) group.positions.push_back(0);
  move(group.positions[slot.value - group.first.value], position);
}

void LogJournal::forget_upto(Group& group, Slot upto) {
  while (!group.positions.empty() && group.first <= upto) {
    move(group.positions.front(), 0);
    group.positions.pop_front();
    group.first = group.first.next();
  }
}

void LogJournal::take_in(const JournalEntry& entry, uint64_t position) {
  const auto [found, fresh] = groups_.try_emplace(entry.group);
  Group& group = found->second;
  promises_changed_ |= fresh;  // named there, it is blind even if all it has here is lost
  if (entry.hard) {
    const bool higher = entry.hard->promised > group.hard.promised;
    const auto promised = std::max(group.hard.promised, entry.hard->promised);
    group.hard = *entry.hard;
    group.hard.promised = promised;
    promises_changed_ |= higher;
    group.logged = std::max(group.logged, entry.hard->promised);
    move(group.hard_position, position);
  }
  if (entry.floor && *entry.floor >= group.floor) {
    group.floor = *entry.floor;
    move(group.floor_position, position);
    forget_upto(group, group.floor);
  }
  if (entry.blind) {
    group.blind = true;
    move(group.blind_position, position);
  }
  if (entry.healed) {
    group.blind = false;
    move(group.blind_position, 0);
  }
  for (const Record& record : entry.records) place(group, record.slot, position);
}

Result<void> LogJournal::append_entry(const JournalEntry& entry, std::span<const Record> records) {
  const Slot position = log_->last().next();
  TRY_DO(log_->append(position, encode(entry, records)));
  take_in(entry, position.value);
  Group& group = groups_[entry.group];
  for (const Record& record : records) place(group, record.slot, position.value);
  return {};
}

// Where a damaged log is to be survived, a promise must be, too: it is kept twice.
Result<void> LogJournal::sync() {
  TRY_DO(save_changed_promises());
  const Slot last = log_->last();
  TRY_DO(log_->sync());
  durable_ = last.value;
  return release();
}

Result<void> LogJournal::save_changed_promises() {
  if (!promises_changed_ || !keeps_promises()) return {};
  std::map<GroupId, paxos::Ballot> promises;
  for (const auto& [id, group] : groups_) promises.emplace(id, group.hard.promised);
  TRY_DO(disk::write_file_atomic(disk_, promises_path(), encode_promises(promises)));
  promises_changed_ = false;
  return {};
}

/// Corrupt when they can't be read: the log must then be whole.
Result<void> LogJournal::load_promises() {
  TRY(const bool there, disk_.exists(promises_path()));
  if (!there) return fail(Code::Corrupt, promises_path() + ": is missing");
  TRY(const Bytes bytes, disk::read_file(disk_, promises_path(), 64u << 20));
  const auto promises = decode_promises(bytes);
  if (!promises) return fail(promises.error().code, promises_path() + ": " + promises.error().message);
  for (const auto& [id, promised] : *promises) {
    Group& group = groups_[id];
    group.hard.promised = std::max(group.hard.promised, promised);
  }
  return {};
}

/// The log is in the directory itself, the first, or, once a damaged one was set aside, where the file `current` says.
Result<uint64_t> LogJournal::current_log() const {
  const std::string path = options_.log.directory + "/current";
  TRY(const bool there, disk_.exists(path));
  if (!there) return uint64_t{1};
  TRY(const Bytes content, disk::read_file(disk_, path, 64));
  const auto number = decode_current(content);
  if (!number)
    return fail(Code::Corrupt,
                fmt::format("{}: {}: this replica must be replaced by a new one", path, number.error().message));
  return *number;
}

Result<std::unique_ptr<log::Log>> LogJournal::open_log(uint64_t number) const {
  log::LogOptions options = options_.log;
  options.directory = log_directory(options_.log.directory, number);
  return log::Log::open(disk_, options, logger_);
}

/// Beside promises there was a log: without any segment it is lost, not new.
Result<std::unique_ptr<log::Log>> LogJournal::open_known_log(uint64_t number) const {
  const std::string directory = log_directory(options_.log.directory, number);
  TRY_DO(disk_.make_directories(directory));
  TRY(const auto names, disk_.list(directory));
  if (std::ranges::none_of(names, [](const std::string& name) { return name.starts_with("segment-"); }))
    return fail(Code::Corrupt, fmt::format("log {}: has no segment, though {} is there", directory, promises_path()));
  return open_log(number);
}

// What can be read of a damaged log goes into a new one; the old one stays for people to look at.
Result<void> LogJournal::set_aside(uint64_t damaged) {
  // One that was begun and not finished is begun anew: nobody names it.
  const std::string fresh = log_directory(options_.log.directory, damaged + 1);
  if (const auto begun = disk_.list(fresh))
    for (const std::string& name : *begun) TRY_DO(disk_.remove(fresh + "/" + name));
  TRY(const auto log, open_log(damaged + 1));
  std::set<GroupId> groups;
  uint64_t bytes = 0, lost = 0;
  TRY(const auto damages,
      log::salvage(disk_, log_directory(options_.log.directory, damaged), [&](Slot, ByteView body) -> Result<void> {
        const auto entry = decode_journal_entry(body);
        if (!entry) {
          ++lost;
          return {};
        }
        groups.insert(entry->group);
        TRY_DO(log->append(log->last().next(), body));
        bytes += body.size();
        if (bytes < (8u << 20)) return {};
        bytes = 0;
        return log->sync();
      }));
  for (const auto& [id, group] : groups_) groups.insert(id);  // of the promises
  for (const GroupId id : groups) TRY_DO(log->append(log->last().next(), encode({.group = id, .blind = true}, {})));
  TRY_DO(log->sync());
  TRY_DO(disk::write_file_atomic(disk_, options_.log.directory + "/current", encode_current(damaged + 1)));
  for (const std::string& damage : damages) logger_.error("log_damaged", {{"what", damage}});
  logger_.error("log_set_aside", {{"damaged", log_directory(options_.log.directory, damaged)},
                                  {"now", fresh},
                                  {"groups", static_cast<uint64_t>(groups.size())},
                                  {"unreadable_entries", lost}});
  return {};
}

Result<void> LogJournal::recover() {
  TRY_DO(disk_.make_directories(options_.log.directory));
  const Result<void> promises = keeps_promises() ? load_promises() : Result<void>();
  if (!promises && promises.error().code != Code::Corrupt) return promises;
  promises_changed_ = !promises.has_value();
  TRY(uint64_t number, current_log());
  auto opened = promises_changed_ || !keeps_promises() ? open_log(number) : open_known_log(number);
  if (!opened && opened.error().code == Code::Corrupt && keeps_promises()) {
    // With both damaged a promise may be lost, and nothing may be promised on a guess.
    if (!promises)
      return fail(Code::Corrupt, fmt::format("{}; and {}: this replica must be replaced by a new one",
                                             opened.error().message, promises.error().message));
    TRY_DO(set_aside(number));
    TRY(number, current_log());
    opened = open_log(number);
  }
  if (!opened) return std::unexpected(std::move(opened).error());
  log_ = std::move(*opened);
  TRY_DO(log_->replay(log_->first(), [&](Slot position, ByteView body) -> Result<void> {
    auto entry = decode_journal_entry(body);
    if (!entry)
      return std::unexpected(std::move(entry).error().within(
          fmt::format("log {}: entry {}", log_directory(options_.log.directory, number), position.value)));
    take_in(*entry, position.value);
    return {};
  }));
  durable_ = log_->last().value;
  if (!promises && durable_ > 0)
    logger_.warn("promises_damaged", {{"what", promises.error().message}, {"now", "written again from the log"}});
  return keep_promises_twice();
}

// The replica will stand by a promise that it finds in either place: then it must be in both, as the next damage may be
// to the other.
Result<void> LogJournal::keep_promises_twice() {
  bool appended = false;
  for (auto& [id, group] : groups_)
    if (group.logged < group.hard.promised) {
      TRY_DO(append_entry({.group = id, .hard = group.hard}, {}));
      appended = true;
    }
  return appended ? sync() : save_changed_promises();
}

Result<Slot> LogJournal::read(GroupId id, Slot first, Slot last, uint64_t bytes_max,
                              const std::function<Result<void>(Record)>& visit) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) return first;
  const Group& group = found->second;
  const auto position_of = [&](Slot slot) -> uint64_t {
    if (slot < group.first || slot.value >= group.first.value + group.positions.size()) return 0;
    return group.positions[slot.value - group.first.value];
  };
  // Neighbours are mostly in one batch: what was read of it beside the slot asked for is kept for the next.
  std::map<Slot, Record> batch;
  uint64_t bytes = 0;
  Slot slot = first;
  for (; slot <= last && bytes < bytes_max; slot = slot.next()) {
    const uint64_t position = position_of(slot);
    if (position == 0 || position > durable_) break;
    if (!batch.contains(slot)) {
      batch.clear();
      TRY_DO(log_->read_batch(Slot(position), [&](Slot at, ByteView body) -> Result<void> {
        TRY(auto entry, decode_journal_entry(body));
        if (entry.group != id) return {};
        for (Record& record : entry.records)
          if (position_of(record.slot) == at.value) batch.insert_or_assign(record.slot, std::move(record));
        return {};
      }));
    }
    const auto record = batch.find(slot);
    if (record == batch.end())
      return fail(Code::Corrupt, fmt::format("log {}: entry {} lacks group {} slot {}", options_.log.directory,
                                             position, id.value, slot.value));
    bytes += record->second.bytes();
    TRY_DO(visit(std::move(record->second)));
    batch.erase(record);
  }
  return slot;
}

Result<void> LogJournal::trim(GroupId id, Slot upto) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || upto <= found->second.trimmed) return {};
  found->second.trimmed = upto;
  forget_upto(found->second, upto);
  release_due_ = true;
  return release();
}

// What supersedes an older entry must be durable before that one goes: with anything buffered, sync() does it.
Result<void> LogJournal::release() {
  if (!release_due_ || log_->last().value > durable_) return {};
  release_due_ = false;
  TRY_DO(drop_needless());
  if (log_->size_bytes() <= options_.tidy_bytes) return {};
  // Without room nothing is tidied: another time.
  auto tidied = tidy();
  return tidied || tidied.error().code == Code::Exhausted ? Result<void>() : tidied;
}

Result<void> LogJournal::drop_needless() {
  const uint64_t needed =
      live_.empty() ? log_->last().value + 1 : std::max<uint64_t>(live_.begin()->first * kBucketPositions, 1);
  return log_->trim(Slot(std::min(needed - 1, durable_)));
}

// What keeps the oldest segment is written again at the end: little, as it belongs to groups that do little.
Result<void> LogJournal::tidy() {
  if (live_.empty()) return {};
  const uint64_t oldest = live_.begin()->first;
  if (log_->last().value / kBucketPositions < oldest + 2) return {};
  std::vector<std::pair<GroupId, std::vector<Slot>>> again;
  for (const auto& [id, group] : groups_) {
    std::vector<Slot> slots;
    for (size_t i = 0; i < group.positions.size(); ++i)
      if (group.positions[i] && group.positions[i] / kBucketPositions == oldest)
        slots.push_back(Slot(group.first.value + i));
    const auto old = [&](uint64_t position) { return position && position / kBucketPositions == oldest; };
    if (!slots.empty() || old(group.hard_position) || old(group.floor_position) || old(group.blind_position))
      again.emplace_back(id, std::move(slots));
  }
  for (auto& [id, slots] : again) {
    std::vector<Record> records;
    for (const Slot slot : slots)
      TRY_DO(read(id, slot, slot, 1, [&](Record record) -> Result<void> {
        records.push_back(std::move(record));
        return {};
      }));
    const Group& group = groups_[id];
    JournalEntry entry{.group = id, .hard = group.hard, .blind = group.blind};
    if (group.floor) entry.floor = group.floor;
    TRY_DO(append_entry(entry, records));
  }
  TRY_DO(sync());
  return drop_needless();
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(disk::Disk& disk, const JournalOptions& options, Logger& logger) {
  auto journal = std::make_unique<LogJournal>(disk, options, logger);
  TRY_DO(journal->recover());
  return journal;
}

}  // namespace hailstone::replica
