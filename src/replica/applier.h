// Applies a group's chosen records to its database, in order, on a thread of its own; answers proposers; flushes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/logger.h"
#include "paxos/types.h"
#include "replica/database.h"
#include "replica/flusher.h"
#include "replica/group.h"

namespace hailstone::replica {

/// The database holds under kAppliedKey where it is in the chosen log (docs/formats/journal.md), in one atomic batch
/// with what each record changed: a restart goes on exactly behind it.
class Applier {
 public:
  struct Item {
    paxos::Record record;
    Group::Done done;  // may be empty
  };
  /// Called on the applier's thread; keep them short.
  struct Events {
    std::function<void(Slot)> applied;         // up to here
    std::function<void(Slot)> flushed;         // durable in the database up to here
    std::function<void(const Error&)> failed;  // nothing more will be applied
  };

  Applier(std::string name, Database& database, StateMachine& machine, const GroupOptions& options, Logger& logger);
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  /// Reads where the database is. Before start().
  Result<paxos::SnapshotMeta> load();
  /// For a database that knows no configuration yet. Before start().
  void set_first(const paxos::Config& first) {
    if (at_.configs.empty()) at_.configs = {first};
  }
  /// Applies one record at once, during recovery.
  Result<void> apply_now(const paxos::Record& record);
  void start(Events events);

  void submit(std::vector<Item> items);
  /// A flush is wanted soon, so that the log can be trimmed: it is full.
  void want_flush();
  Slot applied() const { return Slot(applied_); }
  /// The database waits for room on its disk: nothing more should be proposed.
  Result<void> ready();
  /// Applies what was submitted, flushes, stops.
  void drain();
  /// Stops at once; what was submitted and is not applied is answered as Io.
  void abandon();

 private:
  enum class Stop : uint8_t { No, Drain, Abandon };

  void run();
  Result<void> apply(Item& item);
  Result<void> wait_for_room(const Error& error, Item& item);
  void flush_if_due();
  Result<void> collect_flush();
  void finish();
  void fail_with(Error error);
  void stop(Stop how);

  const std::string name_;
  Database& database_;
  StateMachine& machine_;
  const GroupOptions options_;
  Logger& logger_;
  Events events_;
  paxos::SnapshotMeta at_;  // the applier's thread only, once started
  std::atomic<uint64_t> applied_ = 0;

  std::mutex mutex_;  // between the host's thread and the applier's; guards the block below
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool full_ = false;
  bool flush_finished_ = false;
  bool flush_wanted_ = false;
  Stop stop_ = Stop::No;
  std::optional<Error> failure_;

  // The applier's thread only: bytes applied since the start, and when a flush was last asked for or last failed.
  uint64_t applied_bytes_ = 0;
  uint64_t applied_at_flush_ = 0;
  uint64_t no_flush_before_ = 0;
  bool flush_failing_ = false;

  Flusher flusher_;
  std::mutex stop_mutex_;  // drain() from several threads joins once
  std::thread thread_;
};

}  // namespace hailstone::replica
