#include "replica/log_writer.h"

#include <algorithm>
#include <chrono>

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;
using paxos::GroupId;

/// How often a log that found the disk full is tried again.
constexpr auto kRetryInterval = 100ms;
/// One log record is at most so long; a longer write is several.
constexpr uint64_t kEntryBytesMax = 4u << 20;
/// One answer to Learn.
constexpr uint64_t kLearnBytes = 1u << 20;

}  // namespace

LogWriter::LogWriter(Journal& journal, Events events, Logger& logger)
    : journal_(journal), events_(std::move(events)), logger_(logger), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::lock_guard hold(mutex_);
    stop_ = true;
    waits_ = false;
  }
  wake_.notify_one();
  thread_.join();
}

void LogWriter::submit(LogJob job) {
  {
    const std::lock_guard hold(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void LogWriter::wait_no_more() {
  {
    const std::lock_guard hold(mutex_);
    waits_ = false;
  }
  wake_.notify_one();
}

void LogWriter::abandon() {
  {
    const std::lock_guard hold(mutex_);
    waits_ = false;
    abandoned_ = true;
  }
  wake_.notify_one();
}

void LogWriter::run() {
  while (true) {
    std::vector<LogJob> jobs;
    {
      std::unique_lock hold(mutex_);
      wake_.wait(hold, [&] { return !jobs_.empty() || stop_ || abandoned_; });
      if (jobs_.empty() || abandoned_) return;
      jobs.swap(jobs_);
    }
    if (auto done = do_jobs(jobs); !done) return events_.failed(done.error());
    events_.done(std::move(jobs));
  }
}

Result<void> LogWriter::do_jobs(const std::vector<LogJob>& jobs) {
  bool appended = false;
  for (const LogJob& job : jobs) {
    for (const auto& [group, each] : job.writes) TRY_DO(write(group, each));
    for (const auto& [group, floor] : job.floors) TRY_DO(retried([&] { return journal_.append_floor(group, floor); }));
    for (const GroupId group : job.healed) TRY_DO(retried([&] { return journal_.append_healed(group); }));
    appended = appended || !job.writes.empty() || !job.floors.empty() || !job.healed.empty();
  }
  if (appended) TRY_DO(sync());
  for (const LogJob& job : jobs) {
    for (const auto& [group, upto] : job.trims) TRY_DO(journal_.trim(group, upto));
    for (const auto& [group, wanted] : job.serves) serve(group, wanted);
  }
  return {};
}

// Records first, the hint that they are chosen last.
Result<void> LogWriter::write(GroupId group, const paxos::Write& write) {
  uint64_t bytes = 0;
  for (const paxos::Record& record : write.records) bytes += record.bytes();
  if (bytes <= kEntryBytesMax) return retried([&] { return journal_.append(group, write); });
  paxos::Write part;
  bytes = 0;
  for (const paxos::Record& record : write.records) {
    if (bytes && bytes + record.bytes() > kEntryBytesMax) {
      TRY_DO(retried([&] { return journal_.append(group, part); }));
      part.records.clear();
      bytes = 0;
    }
    part.records.push_back(record);
    bytes += record.bytes();
  }
  part.has_hard = write.has_hard;
  part.hard = write.hard;
  return retried([&] { return journal_.append(group, part); });
}

Result<void> LogWriter::sync() {
  TRY_DO(retried([&] { return journal_.sync(); }));
  if (std::exchange(full_, false)) events_.full(false);
  return {};
}

/// A full disk only delays: what the core has decided to write is written.
Result<void> LogWriter::retried(const std::function<Result<void>()>& step) {
  while (true) {
    auto done = step();
    if (done || done.error().code != Code::Exhausted) return done;
    if (!wait_for_room(done.error())) return fail(Code::Io, "stopped while the disk was full");
    // What was appended before may have room now, and make some by being trimmed later.
    if (auto synced = journal_.sync(); !synced && synced.error().code != Code::Exhausted) return synced;
  }
}

/// False to stop.
bool LogWriter::wait_for_room(const Error& error) {
  if (!std::exchange(full_, true)) logger_.warn("log_disk_full", {{"error", error.message}});
  events_.full(true);
  std::vector<std::pair<GroupId, Slot>> trims;
  {
    std::unique_lock hold(mutex_);
    if (wake_.wait_for(hold, kRetryInterval, [&] { return !waits_; })) return false;
    // Trims that came meanwhile are what makes room.
    for (LogJob& job : jobs_) std::ranges::move(std::exchange(job.trims, {}), std::back_inserter(trims));
  }
  for (const auto& [group, upto] : trims)
    if (!journal_.trim(group, upto)) break;
  return true;
}

void LogWriter::serve(GroupId group, const paxos::ServeLearn& wanted) {
  paxos::Chosen answer;
  const Slot last = std::min(wanted.last, journal_.group(group).hard.chosen);
  const auto read = journal_.read(group, wanted.first, last, kLearnBytes, [&](paxos::Record record) -> Result<void> {
    answer.records.push_back(std::move(record));
    return {};
  });
  if (!read) logger_.error("log_damaged", {{"group", group.value}, {"error", read.error().message}});
  events_.learned(group, wanted, std::move(answer));
}

}  // namespace hailstone::replica
