#include "replica/applier.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/codec.h"
#include "paxos/wire.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;

/// How often a database that found the disk full is tried again.
constexpr auto kRetryInterval = 100ms;
/// What a record costs the log beside its command, at most.
constexpr uint64_t kRecordOverheadBytes = 256;

}  // namespace

Applier::Applier(std::string name, Database& database, StateMachine& machine, const GroupOptions& options,
                 Logger& logger)
    : name_(std::move(name)),
      database_(database),
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

Applier::~Applier() { abandon(); }

Result<paxos::SnapshotMeta> Applier::load() {
  TRY(const auto value, database_.get(kAppliedKey));
  if (value) {
    Decoder in(*value);
    auto meta = paxos::decode_snapshot_meta(in);
    if (!meta || !in.done())
      return fail(Code::Corrupt, fmt::format("{}: the database's place in the log is {} bytes that mean nothing", name_,
                                             value->size()));
    at_ = std::move(*meta);
  }
  applied_ = at_.upto.value;
  return at_;
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
  thread_ = std::thread([this] { run(); });
}

void Applier::submit(std::vector<Item> items) {
  {
    const std::lock_guard hold(mutex_);
    if (!failure_)
      for (Item& item : items) queue_.push_back(std::move(item));
    else
      for (Item& item : items)
        if (item.done) item.done(std::unexpected(*failure_));
  }
  wake_.notify_one();
}

void Applier::want_flush() {
  {
    const std::lock_guard hold(mutex_);
    flush_wanted_ = true;
  }
  wake_.notify_one();
}

Result<void> Applier::ready() {
  {
    const std::lock_guard hold(mutex_);
    if (full_) return fail(Code::Exhausted, "disk full: the database cannot grow");
  }
  return database_.ready();
}

void Applier::run() {
  std::deque<Item> batch;
  while (true) {
    {
      std::unique_lock hold(mutex_);
      wake_.wait(hold, [&] { return !queue_.empty() || flush_finished_ || flush_wanted_ || stop_ != Stop::No; });
      flush_finished_ = false;
      if (stop_ == Stop::Abandon || (stop_ == Stop::Drain && queue_.empty())) break;
      batch.swap(queue_);
    }
    auto going = collect_flush();
    const Slot before = at_.upto;
    while (going && !batch.empty()) {
      going = apply(batch.front());
      if (going) batch.pop_front();
    }
    if (at_.upto > before) events_.applied(at_.upto);
    if (!going) {
      const Error error = going.error();
      for (Item& item : batch)
        if (item.done) item.done(std::unexpected(error));
      return fail_with(error);
    }
    flush_if_due();
  }
  finish();
}

/// The machine's changes and the place in the log are one atomic write.
Result<void> Applier::apply(Item& item) {
  const paxos::Record& record = item.record;
  if (!at_.advance(record))
    return fail(Code::Corrupt,
                fmt::format("slot {} does not follow slot {}: the log and the database do not belong together",
                            record.slot.value, at_.upto.value));
  Batch out;
  Bytes reply;
  if (record.kind == paxos::Kind::Command) {
    auto applied = machine_.apply(record.slot, *record.data, database_, out);
    if (!applied) return std::unexpected(std::move(applied).error().within(fmt::format("slot {}", record.slot.value)));
    reply = std::move(*applied);
  }
  Bytes place;
  Encoder encoder(place);
  paxos::encode(at_, encoder);
  out.put(Bytes(kAppliedKey), std::move(place));  // last: a range of the machine's may cover the key
  bool waited = false;
  while (true) {
    auto written = database_.write(out);
    if (written) break;
    if (written.error().code != Code::Exhausted)
      return fail(Code::Io, fmt::format("slot {}: {}", record.slot.value, written.error().message));
    TRY_DO(wait_for_room(written.error(), item));
    waited = true;
  }
  if (waited) {
    logger_.info("database_has_room", {{"slot", record.slot.value}});
    const std::lock_guard hold(mutex_);
    full_ = false;
  }
  applied_bytes_ += record.data->size() + kRecordOverheadBytes;
  applied_ = record.slot.value;
  if (record.kind == paxos::Kind::Command) machine_.applied(record.slot);
  if (item.done) std::exchange(item.done, nullptr)(std::move(reply));
  return {};
}

/// The command is durable already, so a full disk can only delay it.
Result<void> Applier::wait_for_room(const Error& error, Item& item) {
  const auto delayed = [] {
    return fail(Code::Timeout, "disk full: the command is logged, and will be applied when there is room");
  };
  std::unique_lock hold(mutex_);
  if (!full_) logger_.warn("database_disk_full", {{"applied_slot", applied_.load()}, {"error", error.message}});
  full_ = true;
  std::vector<Group::Done> waiting;
  if (item.done) waiting.push_back(std::exchange(item.done, nullptr));
  for (Item& each : queue_)
    if (each.done) waiting.push_back(std::exchange(each.done, nullptr));
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

void Applier::flush_if_due() {
  if (!database_.survives_restart()) return;
  bool wanted;
  {
    const std::lock_guard hold(mutex_);
    wanted = std::exchange(flush_wanted_, false);
  }
  // Commands that change nothing fill the log all the same.
  const bool due = database_.unflushed_bytes() >= options_.flush_bytes ||
                   applied_bytes_ - applied_at_flush_ >= 2 * options_.flush_bytes;
  if (!wanted && (!due || applied_bytes_ < no_flush_before_)) return;
  if (flusher_.start(Slot(applied_))) applied_at_flush_ = applied_bytes_;
}

void Applier::finish() {
  flusher_.wait();
  Stop how;
  std::deque<Item> left;
  {
    const std::lock_guard hold(mutex_);
    how = stop_;
    left.swap(queue_);
    failure_ = Error{Code::Unavailable, "group is stopping"};
  }
  for (Item& item : left)
    if (item.done)
      item.done(fail(Code::Timeout, "stopped before the command was applied: it is, when the group is opened again"));
  if (how != Stop::Drain || !database_.survives_restart()) return;
  auto flushed = machine_.persist();
  if (flushed) flushed = database_.flush();
  if (flushed)
    events_.flushed(Slot(applied_));
  else
    logger_.warn("database_flush_failed", {{"error", flushed.error().message}});  // nothing is lost: the log holds it
}

void Applier::fail_with(Error error) {
  logger_.error("group_failed", {{"group", name_}, {"applied_slot", applied_.load()}, {"error", error.message}});
  std::deque<Item> left;
  const Error failure{Code::Io, "the group has failed and must be reopened: " + error.message};
  {
    const std::lock_guard hold(mutex_);
    failure_ = failure;
    left.swap(queue_);
  }
  for (Item& item : left)
    if (item.done) item.done(std::unexpected(failure));
  events_.failed(error);
}

void Applier::stop(Stop how) {
  const std::lock_guard once(stop_mutex_);
  {
    const std::lock_guard hold(mutex_);
    if (stop_ == Stop::No) stop_ = how;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Applier::drain() { stop(Stop::Drain); }
void Applier::abandon() { stop(Stop::Abandon); }

}  // namespace hailstone::replica
