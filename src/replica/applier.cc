#include "replica/applier.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "replica/forward_wire.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;

/// How often a database that found the disk full is tried again.
constexpr auto kRetryInterval = 100ms;
/// What a record costs the log beside its command, at most.
constexpr uint64_t kRecordOverheadBytes = 256;
/// Written together at most.
constexpr size_t kPendingRecords = 256, kPendingBytes = 1u << 20;

}  // namespace

Applier::Applier(std::string name, Database& database, StateMachine& machine, const GroupOptions& options,
                 uint32_t checksum_every, Pools pools, Logger& logger)
    : name_(std::move(name)),
      database_(database),
      machine_(machine),
      options_(options),
      checksum_every_(checksum_every),
      workers_(pools.apply),
      logger_(logger),
      pending_(
          database, [this] { return write_pending(); }, options.read_cache_bytes),
      flusher_(
          pools.bulk, database, [&machine] { return machine.persist(); },
          [this] {
            const std::lock_guard hold(mutex_);
            flush_finished_ = true;
            schedule();
          }) {}

Applier::~Applier() { abandon(); }

Result<paxos::SnapshotMeta> Applier::load() {
  pending_.forget();
  TRY(const auto value, database_.get(kAppliedKey));
  if (value) {
    auto place = Place::decode(*value);
    if (!place) return std::unexpected(std::move(place).error().within(name_));
    place_ = std::move(*place);
  }
  applied_ = place_.at.upto.value;
  return place_.at;
}

Result<void> Applier::apply_now(const paxos::Record& record) {
  Item item{.record = record, .done = {}};
  auto applied = apply(item);
  if (!applied)
    return std::unexpected(std::move(applied).error().within(fmt::format("replaying slot {}", record.slot.value)));
  return {};
}

void Applier::start(Events events) {
  events_ = std::move(events);
  const std::lock_guard hold(mutex_);
  started_ = true;
  schedule();
}

void Applier::schedule() {
  if (running_ || !started_ || failure_ || stop_ == Stop::Abandon) return;
  if (queue_.empty() && !flush_finished_ && !flush_wanted_) return;
  running_ = true;
  workers_.post([this] { run(); });
}

void Applier::submit(std::vector<Item> items) {
  std::optional<Error> failure;
  {
    const std::lock_guard hold(mutex_);
    if (!failure_)
      for (Item& item : items) queue_.push_back({.item = std::move(item), .work = nullptr});
    failure = failure_;
    schedule();
  }
  if (failure)
    for (Item& item : items)
      if (item.done) item.done(std::unexpected(*failure));
}

void Applier::run_between(std::function<Result<void>()> work) {
  const std::lock_guard hold(mutex_);
  if (failure_) return;
  queue_.push_back({.item = {}, .work = std::move(work)});
  schedule();
}

void Applier::want_flush() {
  const std::lock_guard hold(mutex_);
  flush_wanted_ = true;
  schedule();
}

Result<void> Applier::ready() {
  {
    const std::lock_guard hold(mutex_);
    if (full_) return fail(Code::Exhausted, "disk full: the database cannot grow");
  }
  return database_.ready();
}

/// Until there is nothing to do.
void Applier::run() {
  while (run_once()) {
  }
  const std::lock_guard hold(mutex_);
  running_ = false;
  // Told while the mutex is held: whoever waits may end this object at once.
  schedule();
  if (!running_) idle_.notify_all();
}

bool Applier::run_once() {
  std::vector<Entry> batch;
  bool wanted;
  {
    const std::lock_guard hold(mutex_);
    if (failure_ || stop_ == Stop::Abandon || (queue_.empty() && !flush_finished_ && !flush_wanted_)) return false;
    flush_finished_ = false;
    wanted = std::exchange(flush_wanted_, false);
    batch.swap(queue_);
  }
  auto going = collect_flush();
  const Slot before(applied_);
  for (size_t next = 0; going && next < batch.size(); ++next) {
    if (!batch[next].work) {
      going = apply(batch[next].item);
      continue;
    }
    going = write_pending();
    if (going) going = batch[next].work();
    pending_.forget();
  }
  if (going) going = write_pending();
  if (applied() > before && !checksum_due(applied())) events_.applied(applied(), 0);
  if (!going) {
    const Error error = going.error();
    for (Unwritten& each : unwritten_)
      if (each.done) each.done(std::unexpected(error));
    for (Entry& entry : batch)
      if (entry.item.done) entry.item.done(std::unexpected(error));
    fail_with(error);
    return false;
  }
  flush_if_due(wanted);
  return true;
}

Result<void> Applier::apply(Item& item) {
  const paxos::Record& record = item.record;
  paxos::SnapshotMeta& at = place_.at;
  if (record.slot <= at.upto) {
    // Given out before a snapshot that holds it took its place.
    if (item.done) std::exchange(item.done, nullptr)(fail(Code::Timeout, "done, but its answer is not known here"));
    return {};
  }
  const auto misfit = [&] {
    return fail(Code::Corrupt,
                fmt::format("slot {} does not follow slot {}: the log and the database do not belong together",
                            record.slot.value, at.upto.value));
  };
  if (record.slot != at.upto.next() || record.parent != at.digest) return misfit();
  Unwritten applied{.slot = record.slot, .command = is_command(record), .reply = {}, .done = nullptr, .checksum = 0};
  if (applied.command) {
    Batch out;
    TRY(const ByteView command, command_of(record));
    auto reply = machine_.apply(record.slot, command, pending_, out);
    if (!reply) return std::unexpected(std::move(reply).error().within(fmt::format("slot {}", record.slot.value)));
    applied.reply = std::move(*reply);
    place_.changed_by(out);
    pending_.add(std::move(out));
  }
  // Only now: an iteration of the machine's has written what was pending, with the place before this record.
  if (!at.advance(record)) return misfit();
  applied.done = std::exchange(item.done, nullptr);
  applied.checksum = place_.checksum;
  unwritten_.push_back(std::move(applied));
  applied_bytes_ += record.data->size() + kRecordOverheadBytes;
  if (machine_.batches() && unwritten_.size() < kPendingRecords && pending_.bytes() < kPendingBytes) return {};
  return write_pending();
}

/// The machine's changes and the place in the log are one atomic write.
Result<void> Applier::write_pending() {
  if (unwritten_.empty()) return {};
  const Slot last = unwritten_.back().slot;
  Batch& batch = pending_.batch();
  batch.put(Bytes(kAppliedKey), place_.encode());  // last: a range of the machine's may cover the key
  bool waited = false;
  while (true) {
    auto written = database_.write(batch);
    if (written) break;
    if (written.error().code != Code::Exhausted)
      return fail(Code::Io, fmt::format("slot {}: {}", last.value, written.error().message));
    TRY_DO(wait_for_room(written.error()));
    waited = true;
  }
  if (waited) {
    logger_.info("database_has_room", {{"slot", last.value}});
    const std::lock_guard hold(mutex_);
    full_ = false;
  }
  pending_.clear();
  auto unwritten = std::exchange(unwritten_, {});
  for (Unwritten& each : unwritten) {
    applied_ = each.slot.value;
    if (each.command) machine_.applied(each.slot);
    if (each.done) each.done(std::move(each.reply));
    if (checksum_due(each.slot) && events_.applied) events_.applied(each.slot, each.checksum);
  }
  return {};
}

/// The commands are durable already, so a full disk can only delay them.
Result<void> Applier::wait_for_room(const Error& error) {
  const auto delayed = [] {
    return fail(Code::Timeout, "disk full: the command is logged, and will be applied when there is room");
  };
  std::unique_lock hold(mutex_);
  if (!full_) logger_.warn("database_disk_full", {{"applied_slot", applied_.load()}, {"error", error.message}});
  full_ = true;
  std::vector<Group::Done> waiting;
  for (Unwritten& each : unwritten_)
    if (each.done) waiting.push_back(std::exchange(each.done, nullptr));
  for (Entry& each : queue_)
    if (each.item.done) waiting.push_back(std::exchange(each.item.done, nullptr));
  hold.unlock();
  for (auto& done : waiting) done(delayed());
  hold.lock();
  if (wake_.wait_for(hold, kRetryInterval, [&] { return stop_ != Stop::No; }))
    return fail(Code::Io,
                "stopped while the disk was full: logged commands are applied when the group is opened again");
  return {};
}

Result<void> Applier::collect_flush() {
  const auto outcome = flusher_.collect();
  if (!outcome) return {};
  if (outcome->flushed) {
    if (flush_failing_) logger_.info("database_flush_recovered", {{"slot", outcome->applied.value}});
    flush_failing_ = false;
    events_.flushed(outcome->applied);
    return {};
  }
  const Error& error = outcome->flushed.error();
  if (error.code != Code::Exhausted) return fail(Code::Io, "flush: " + error.message);
  if (!flush_failing_) logger_.warn("database_flush_failed", {{"error", error.message}});
  flush_failing_ = true;
  no_flush_before_ = applied_bytes_ + options_.flush_bytes / 4;
  return {};
}

void Applier::flush_if_due(bool wanted) {
  if (!database_.survives_restart()) return;
  // Commands that change nothing fill the log all the same.
  const bool due = database_.unflushed_bytes() >= options_.flush_bytes ||
                   applied_bytes_ - applied_at_flush_ >= 2 * options_.flush_bytes;
  if (!wanted && (!due || applied_bytes_ < no_flush_before_)) return;
  if (flusher_.start(Slot(applied_))) applied_at_flush_ = applied_bytes_;
}

void Applier::finish(Stop how) {
  flusher_.wait();
  std::vector<Entry> left;
  bool failed;
  {
    const std::lock_guard hold(mutex_);
    left.swap(queue_);
    failed = failure_.has_value();
    if (!failed) failure_ = Error{Code::Unavailable, "group is stopping"};
  }
  for (Entry& entry : left)
    if (entry.item.done)
      entry.item.done(
          fail(Code::Timeout, "stopped before the command was applied: it is, when the group is opened again"));
  if (failed || how != Stop::Drain || !database_.survives_restart()) return;
  auto flushed = machine_.persist();
  if (flushed) flushed = database_.flush();
  if (flushed)
    events_.flushed(Slot(applied_));
  else
    logger_.warn("database_flush_failed", {{"error", flushed.error().message}});  // nothing is lost: the log holds it
}

void Applier::fail_with(Error error) {
  logger_.error("group_failed", {{"group", name_}, {"applied_slot", applied_.load()}, {"error", error.message}});
  std::vector<Entry> left;
  const Error failure{Code::Io, "the group has failed and must be reopened: " + error.message};
  {
    const std::lock_guard hold(mutex_);
    failure_ = failure;
    left.swap(queue_);
  }
  for (Entry& entry : left)
    if (entry.item.done) entry.item.done(std::unexpected(failure));
  events_.failed(error);
}

void Applier::stop(Stop how) {
  const std::lock_guard once(stop_mutex_);
  if (std::exchange(ended_, true)) return;
  {
    std::unique_lock hold(mutex_);
    if (!started_) return;
    stop_ = how;
    wake_.notify_all();
    idle_.wait(hold, [&] { return !running_; });
    stop_ = Stop::Abandon;  // a flush that ends from here on starts nothing
  }
  finish(how);
}

void Applier::drain() { stop(Stop::Drain); }
void Applier::abandon() { stop(Stop::Abandon); }

}  // namespace hailstone::replica
