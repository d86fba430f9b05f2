#include "sim/node_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::sim {
namespace {

// Small, so that a short run goes through many segments, trims and tidies.
const replica::JournalOptions kOptions{
    .log = {.directory = "log", .segment_bytes = log::kSegmentBytesMin, .spare = log::SparePreparation::Inline},
    .damage = replica::JournalOptions::Damage::Salvage,
    .tidy_bytes = 4 * log::kSegmentBytesMin};
constexpr uint64_t kBlockBytes = 4096, kSectorBytes = 512;

}  // namespace

NodeLog::NodeLog() : disk_(std::make_unique<disk::SimDisk>()) {}

Result<void> NodeLog::open() {
  TRY(journal_, replica::Journal::open(*disk_, kOptions, logger_));
  return {};
}

Result<void> NodeLog::persist(LogJob& job) {
  const auto append = [&](auto& list, size_t before, auto&& one) -> Result<void> {
    while (job.begun < before + list.size()) {
      TRY_DO(one(list[job.begun - before]));
      ++job.begun;
    }
    return {};
  };
  const size_t all = job.writes.size() + job.floors.size() + job.healed.size();
  const auto appended = [&]() -> Result<void> {
    TRY_DO(append(job.writes, 0, [&](const auto& each) { return journal_->append(each.first, each.second); }));
    TRY_DO(append(job.floors, job.writes.size(),
                  [&](const auto& each) { return journal_->append_floor(each.first, each.second); }));
    return append(job.healed, job.writes.size() + job.floors.size(),
                  [&](const auto& each) { return journal_->append_healed(each); });
  }();
  if (!appended && appended.error().code != Code::Exhausted) return appended;
  if (all) TRY_DO(journal_->sync());
  return appended;
}

void NodeLog::end(End how, LogJob* job, Random& random) {
  disturbed_ = false;
  if (how == End::PowerCut) {
    if (journal_ && job && random.chance(0.7)) {
      disk_->crash_at(disk_->operations() + 1 + random.below(10));
      (void)persist(*job);
      for (const auto& [group, upto] : job->trims)
        if (!journal_->trim(group, upto)) break;
    }
    disk_->crash();
    journal_.reset();
    const uint64_t mode = random.below(4);
    disk_->restart(mode == 0   ? disk::SimDisk::CrashMode::Drop
                   : mode == 1 ? disk::SimDisk::CrashMode::Keep
                               : disk::SimDisk::CrashMode::Torn,
                   random.next());
    return;
  }
  if (journal_ && job && random.chance(0.5)) (void)persist(*job);
  journal_.reset();
  disk_->fail_at(0);
}

void NodeLog::fail_soon(Random& random) {
  disturbed_ = true;
  disk_->fail_at(disk_->operations() + 1 + random.below(12));
}

void NodeLog::fail_no_more() {
  disk_->fail_at(0);
  set_full(false);
}

void NodeLog::set_full(bool full) { disk_->set_capacity(full ? disk_->used_bytes() : UINT64_MAX); }

void NodeLog::set_byte(const std::string& path, uint64_t offset, char from, char to) {
  if (from != to) (void)disk_->flip(path, offset, static_cast<uint8_t>(from ^ to));
}

std::string NodeLog::damage_file(const std::string& path, bool blocks, Random& random) {
  const auto read = disk::read_file(*disk_, path, UINT64_MAX);
  if (!read || read->empty()) return {};
  const Bytes& bytes = *read;
  // Mostly where something is written.
  uint64_t end = bytes.find_last_not_of('\0') + 1;
  if (end == 0 || random.chance(0.1)) end = bytes.size();
  const uint64_t kind = blocks ? random.below(4) : 0;
  if (kind >= 2 && bytes.size() >= 2 * kBlockBytes) {
    // A write that was meant for another place: blocks of the log, or sectors of them. Never zeros: a last batch that
    // reads as zeros cannot be told from one that was never written (src/log/README.md).
    const uint64_t unit = kind == 2 ? kBlockBytes : kSectorBytes;
    const uint64_t from = random.below((end + unit - 1) / unit) * unit,
                   to = random.below((end + unit - 1) / unit) * unit;
    if (ByteView(bytes).substr(from, unit).find_first_not_of('\0') == ByteView::npos || from == to) return {};
    for (uint64_t i = 0; i < unit && to + i < bytes.size() && from + i < bytes.size(); ++i)
      set_byte(path, to + i, bytes[to + i], bytes[from + i]);
    return fmt::format("{}: {} bytes of {} at {}", path, unit, from, to);
  }
  if (blocks && random.chance(0.15)) {
    // Nothing in it can be read any more.
    for (uint64_t i = 0; i < end; i += kSectorBytes) (void)disk_->flip(path, i, 0x55);
    return path + ": all of it";
  }
  const uint64_t at = random.below(end), count = std::min(end - at, random.chance(0.5) ? 1 : 1 + random.below(64));
  for (uint64_t i = at; i < at + count; ++i) {
    const auto mask = static_cast<uint8_t>(1 + random.below(255));
    (void)disk_->flip(path, i, mask);
  }
  return fmt::format("{}: {} bytes from {}", path, count, at);
}

std::string NodeLog::rot(Rot what, Random& random) {
  std::vector<std::string> segments, others;
  std::vector<std::string> directories = {"log"};
  // The log in use is the one that was made last.
  for (int n = 2;; ++n) {
    const std::string directory = fmt::format("log/log-{}", n);
    if (const auto there = disk_->exists(directory); !there || !*there) break;
    directories.push_back(directory);
  }
  if (const auto names = disk_->list(directories.back()))
    for (const std::string& name : *names)
      if (name.starts_with("segment-")) segments.push_back(directories.back() + "/" + name);
  for (const char* name : {"log/promises", "log/current"})
    if (const auto there = disk_->exists(name); there && *there) others.push_back(name);
  std::string said;
  if (what != Rot::Promises && !segments.empty())
    // The newest are read most.
    said = damage_file(random.chance(0.5) ? segments.back() : segments[random.below(segments.size())], true, random);
  if (what != Rot::Log && !others.empty()) {
    const std::string more = damage_file(others[random.below(others.size())], false, random);
    said += (said.empty() ? "" : "; ") + more;
  }
  return said;
}

void NodeLog::lose() {
  disturbed_ = false;
  journal_.reset();
  disk_ = std::make_unique<disk::SimDisk>();
}

}  // namespace hailstone::sim
