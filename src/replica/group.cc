#include "replica/group.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "base/codec.h"
#include "log/log.h"
#include "replica/flusher.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;

/// How often a database that found the disk full is tried again.
constexpr auto kRetryInterval = 100ms;
/// What a queued proposal costs beside its command.
constexpr uint64_t kProposalBytes = 64;
/// Log space of a batch of tiny commands.
constexpr uint64_t kBatchOverheadBytes = 4096;

struct Proposal {
  Bytes command;
  Group::Done done;  // empty once it was called
  uint64_t cost() const { return command.size() + kProposalBytes; }
};
using Proposals = std::deque<Proposal>;

void refuse(Proposals proposals, const Error& error) {
  for (auto& proposal : proposals) {
    if (proposal.done) proposal.done(std::unexpected(error));
  }
}

class LogGroup final : public Group {
 public:
  LogGroup(Database& database, StateMachine& machine, const GroupOptions& options, Logger& logger)
      : database_(database),
        machine_(machine),
        options_(options),
        logger_(logger),
        flusher_(
            database, [&machine] { return machine.persist(); },
            [this] {
              {
                const std::lock_guard hold(mutex_);
                flush_finished_ = true;
              }
              wake_.notify_one();
            }) {}
  ~LogGroup() override { stop(Stop::Abandon); }

  Result<void> recover(disk::Disk& disk);
  void start() {
    thread_ = std::thread([this] { run(); });
  }

  void propose(Bytes command, Done done) override;
  Slot applied_slot() const override { return Slot(applied_); }
  bool healthy() const override { return !failed_; }
  void drain() override { stop(Stop::Drain); }

 private:
  enum class Stop : uint8_t { No, Drain, Abandon };

  Result<Slot> durably_applied() const;
  Result<void> refusal(const Proposal& proposal) const;  // with mutex_ held

  // On the group's thread.
  void run();
  bool next_batch(Proposals& batch);
  Result<void> commit(Proposals batch);
  Result<Bytes> apply(Slot slot, ByteView command, Batch& out);
  Result<void> write(Slot slot, const Batch& out, Proposals& logged);
  Result<void> wait_for_room(const Error& error, Proposals& logged);
  Result<void> collect_flush();
  void flush_if_due();
  Result<void> finish();
  void fail_with(Error error);

  void stop(Stop how);

  Database& database_;
  StateMachine& machine_;
  const GroupOptions options_;
  Logger& logger_;
  std::unique_ptr<log::Log> log_;  // the group's thread only
  std::atomic<uint64_t> applied_ = 0;
  std::atomic<bool> failed_ = false;

  std::mutex mutex_;  // proposers are any threads; guards the block below
  std::condition_variable wake_;
  Proposals queue_;
  uint64_t queue_bytes_ = 0;
  bool full_ = false;  // the database waits for room on its disk
  bool flush_finished_ = false;
  Stop stop_ = Stop::No;
  Error failure_;  // meaningful once failed_

  // The group's thread only. Bytes logged since the group was opened, and when a flush was last asked for or last
  // failed.
  uint64_t logged_bytes_ = 0;
  uint64_t logged_at_flush_ = 0;
  uint64_t no_flush_before_ = 0;
  bool log_full_ = false;
  bool flush_failing_ = false;

  Flusher flusher_;
  std::mutex stop_mutex_;  // drain() from several threads joins once
  std::thread thread_;
};

Result<Slot> LogGroup::durably_applied() const {
  TRY(const auto value, database_.get(kAppliedKey));
  if (!value) return Slot();
  Decoder decoder(*value);
  const Slot slot(decoder.u64());
  if (!decoder.done()) return fail(Code::Corrupt, fmt::format("database: applied slot of {} bytes", value->size()));
  return slot;
}

Result<void> LogGroup::recover(disk::Disk& disk) {
  TRY(log_, log::Log::open(disk, {.directory = options_.log_directory, .segment_bytes = options_.log_segment_bytes},
                           logger_));
  TRY(const Slot applied, durably_applied());
  if (log_->first() > applied.next()) {
    return fail(Code::Corrupt, fmt::format("log {} starts at slot {}, but the database has applied {} only: the slots "
                                           "between are lost",
                                           options_.log_directory, log_->first().value, applied.value));
  }
  if (log_->last() < applied) {
    return fail(Code::Corrupt,
                fmt::format("log {} ends at slot {}, but the database has applied {}: they do not belong "
                            "together",
                            options_.log_directory, log_->last().value, applied.value));
  }
  applied_ = applied.value;
  TRY_DO(log_->replay(applied.next(), [this](Slot slot, ByteView command) -> Result<void> {
    Batch out;
    auto done = apply(slot, command, out);
    auto written = done ? database_.write(out) : Result<void>(std::unexpected(done.error()));
    if (!written)
      return std::unexpected(std::move(written).error().within(fmt::format("replaying slot {}", slot.value)));
    applied_ = slot.value;
    machine_.applied(slot);
    return {};
  }));
  logger_.info(
      "group_opened",
      {{"log", options_.log_directory}, {"applied_slot", applied_.load()}, {"replayed", applied_ - applied.value}});
  return {};
}

Result<void> LogGroup::refusal(const Proposal& proposal) const {
  if (failed_) return std::unexpected(failure_);
  if (stop_ != Stop::No) return fail(Code::Unavailable, "group is stopping");
  if (full_) return fail(Code::Exhausted, "disk full: the database cannot grow");
  if (proposal.command.size() > log::kRecordBytesMax) {
    return fail(Code::Invalid,
                fmt::format("command of {} bytes, at most {}", proposal.command.size(), log::kRecordBytesMax));
  }
  if (!queue_.empty() && queue_bytes_ + proposal.cost() > options_.queue_bytes_max) {
    return fail(Code::Unavailable,
                fmt::format("{} bytes of proposals are waiting, at most {}", queue_bytes_, options_.queue_bytes_max));
  }
  return {};
}

void LogGroup::propose(Bytes command, Done done) {
  Proposal proposal{std::move(command), std::move(done)};
  {
    std::unique_lock hold(mutex_);
    if (auto refused = refusal(proposal); !refused) {
      hold.unlock();
      proposal.done(std::unexpected(std::move(refused).error()));
      return;
    }
    queue_bytes_ += proposal.cost();
    queue_.push_back(std::move(proposal));
  }
  wake_.notify_one();
}

void LogGroup::run() {
  Proposals batch;
  while (next_batch(batch)) {
    auto done = collect_flush();
    if (done)
      done = commit(std::move(batch));
    else
      refuse(std::move(batch), done.error());
    batch.clear();
    if (!done) return fail_with(std::move(done).error());
    flush_if_due();
  }
  if (auto finished = finish(); !finished) fail_with(std::move(finished).error());
}

/// Waits for work; an empty batch when only a flush has finished; false to stop.
bool LogGroup::next_batch(Proposals& batch) {
  std::unique_lock hold(mutex_);
  wake_.wait(hold, [&] { return !queue_.empty() || flush_finished_ || stop_ != Stop::No; });
  flush_finished_ = false;
  if (stop_ == Stop::Abandon || (stop_ == Stop::Drain && queue_.empty())) return false;
  uint64_t bytes = 0;
  while (!queue_.empty() && bytes < options_.batch_bytes_max) {
    bytes += queue_.front().cost();
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  return true;
}

/// An error stops the group; every proposal has been answered even so.
Result<void> LogGroup::commit(Proposals batch) {
  if (batch.empty()) return {};
  if (auto ready = database_.ready(); !ready) {
    const bool full = ready.error().code == Code::Exhausted;
    refuse(std::move(batch), full ? ready.error() : Error{Code::Io, ready.error().message});
    return full ? Result<void>() : ready;
  }
  const Slot first = log_->last().next();
  Proposals logged;
  Result<void> appended;
  while (appended && !batch.empty()) {
    appended = log_->append(log_->last().next(), batch.front().command);
    if (!appended) break;
    logged_bytes_ += batch.front().cost();
    logged.push_back(std::move(batch.front()));
    batch.pop_front();
  }
  // A log that is full goes on with what it holds; the rest was not logged.
  log_full_ = !appended && appended.error().code == Code::Exhausted;
  Result<void> going = appended || log_full_ ? log_->sync() : appended;
  logged_bytes_ += kBatchOverheadBytes;
  Slot slot = first;
  for (; going && !logged.empty(); slot = slot.next()) {
    Batch out;
    auto reply = apply(slot, logged.front().command, out);
    if (!reply) {
      going = std::unexpected(std::move(reply).error().within(fmt::format("slot {}", slot.value)));
    } else {
      going = write(slot, out, logged);
    }
    if (!going) break;
    if (logged.front().done) logged.front().done(std::move(*reply));
    logged.pop_front();
  }
  if (!going) refuse(std::move(logged), going.error());
  if (!batch.empty()) refuse(std::move(batch), going ? appended.error() : going.error());
  return going;
}

/// The machine's changes and the applied slot, for one atomic write.
Result<Bytes> LogGroup::apply(Slot slot, ByteView command, Batch& out) {
  TRY(auto reply, machine_.apply(slot, command, database_, out));
  Bytes applied;
  Encoder(applied).u64(slot.value);
  out.put(Bytes(kAppliedKey), std::move(applied));  // last: a range of the machine's may cover the key
  return reply;
}

/// The command is durable already, so a full disk can only delay it.
Result<void> LogGroup::write(Slot slot, const Batch& out, Proposals& logged) {
  bool waited = false;
  while (true) {
    auto written = database_.write(out);
    if (written) break;
    if (written.error().code != Code::Exhausted) {
      return fail(Code::Io, fmt::format("slot {}: {}", slot.value, written.error().message));
    }
    TRY_DO(wait_for_room(written.error(), logged));
    waited = true;
  }
  if (waited) {
    logger_.info("database_has_room", {{"slot", slot.value}});
    const std::lock_guard hold(mutex_);
    full_ = false;
  }
  applied_ = slot.value;
  machine_.applied(slot);
  return {};
}

Result<void> LogGroup::wait_for_room(const Error& error, Proposals& logged) {
  std::unique_lock hold(mutex_);
  if (!full_) logger_.warn("database_disk_full", {{"applied_slot", applied_.load()}, {"error", error.message}});
  full_ = true;
  Proposals waiting = std::exchange(queue_, {});
  queue_bytes_ = 0;
  hold.unlock();
  refuse(std::move(waiting), error);
  for (auto& proposal : logged) {
    if (!proposal.done) continue;
    std::exchange(proposal.done, nullptr)(
        fail(Code::Timeout, "disk full: the command is logged, and will be applied when there is room"));
  }
  hold.lock();
  if (wake_.wait_for(hold, kRetryInterval, [&] { return stop_ != Stop::No; })) {
    return fail(Code::Io,
                "stopped while the disk was full: logged commands are applied when the group is opened again");
  }
  return {};
}

Result<void> LogGroup::collect_flush() {
  const auto outcome = flusher_.collect();
  if (!outcome) return {};
  if (outcome->flushed) {
    if (flush_failing_) logger_.info("database_flush_recovered", {{"slot", outcome->applied.value}});
    flush_failing_ = false;
    return log_->trim(outcome->applied);
  }
  const Error& error = outcome->flushed.error();
  if (error.code != Code::Exhausted) return fail(Code::Io, "flush: " + error.message);
  if (!flush_failing_) logger_.warn("database_flush_failed", {{"error", error.message}});
  flush_failing_ = true;
  no_flush_before_ = logged_bytes_ + options_.flush_bytes / 4;
  return {};
}

void LogGroup::flush_if_due() {
  if (!database_.survives_restart()) return;
  // Commands that change nothing fill the log all the same.
  const bool due = database_.unflushed_bytes() >= options_.flush_bytes ||
                   logged_bytes_ - logged_at_flush_ >= 2 * options_.flush_bytes;
  if (!log_full_ && (!due || logged_bytes_ < no_flush_before_)) return;
  if (!flusher_.start(Slot(applied_))) return;
  log_full_ = false;
  logged_at_flush_ = logged_bytes_;
}

Result<void> LogGroup::finish() {
  flusher_.wait();
  Stop how;
  {
    const std::lock_guard hold(mutex_);
    how = stop_;
  }
  if (how == Stop::Drain && database_.survives_restart()) {
    auto flushed = machine_.persist();
    if (flushed) flushed = database_.flush();
    if (!flushed) {
      // Nothing is lost: the log holds it.
      logger_.warn("database_flush_failed", {{"error", flushed.error().message}});
      return {};
    }
    return log_->trim(Slot(applied_));
  }
  Proposals left;
  {
    const std::lock_guard hold(mutex_);
    left = std::exchange(queue_, {});
  }
  refuse(std::move(left), Error{Code::Unavailable, "group is stopping"});
  return {};
}

void LogGroup::fail_with(Error error) {
  logger_.error("group_failed",
                {{"log", options_.log_directory}, {"applied_slot", applied_.load()}, {"error", error.message}});
  Proposals left;
  {
    const std::lock_guard hold(mutex_);
    failure_ = Error{Code::Io, "the group has failed and must be reopened: " + error.message};
    failed_ = true;
    left = std::exchange(queue_, {});
  }
  refuse(std::move(left), failure_);
}

void LogGroup::stop(Stop how) {
  const std::lock_guard once(stop_mutex_);
  {
    const std::lock_guard hold(mutex_);
    if (stop_ == Stop::No) stop_ = how;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace

Result<std::unique_ptr<Group>> Group::open(disk::Disk& disk, Database& database, StateMachine& machine,
                                           const GroupOptions& options, Logger& logger) {
  auto group = std::make_unique<LogGroup>(database, machine, options, logger);
  TRY_DO(group->recover(disk));
  group->start();
  return group;
}

Result<Bytes> Group::propose_and_wait(Bytes command) {
  std::promise<Result<Bytes>> answer;
  auto answered = answer.get_future();
  propose(std::move(command), [&](Result<Bytes> reply) { answer.set_value(std::move(reply)); });
  return answered.get();
}

}  // namespace hailstone::replica
