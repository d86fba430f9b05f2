// Applies a group's chosen records to its database, in order, one group on one worker at a time; answers proposers;
// flushes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/logger.h"
#include "paxos/types.h"
#include "replica/database.h"
#include "replica/flusher.h"
#include "replica/group.h"
#include "replica/pending.h"
#include "replica/place.h"
#include "replica/workers.h"

namespace hailstone::replica {

/// The database holds under kAppliedKey where it is in the chosen log (docs/formats/journal.md), in one atomic batch
/// with what each record changed: a restart goes on exactly behind it.
class Applier {
 public:
  struct Item {
    paxos::Record record;
    Group::Done done;  // may be empty
  };
  /// Called on a worker; keep them short.
  struct Events {
    /// Up to here; with the state's checksum at each slot divisible by checksum_every, else 0.
    std::function<void(Slot, uint64_t checksum)> applied;
    std::function<void(Slot)> flushed;         // durable in the database up to here
    std::function<void(const Error&)> failed;  // nothing more will be applied
  };
  struct Pools {
    Workers& apply;  // short work
    Workers& bulk;   // flushes
  };

  Applier(std::string name, Database& database, StateMachine& machine, const GroupOptions& options,
          uint32_t checksum_every, Pools pools, Logger& logger);
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  /// Reads where the database is. Before start(), and after the database was given another content.
  Result<paxos::SnapshotMeta> load();
  /// For a database that knows no configuration yet. Before start().
  void set_first(const paxos::Config& first) {
    if (place_.at.configs.empty()) place_.at.configs = {first};
  }
  /// Applies one record at once, during recovery.
  Result<void> apply_now(const paxos::Record& record);
  /// After the last of them.
  Result<void> write_pending();
  void start(Events events);

  void submit(std::vector<Item> items);
  /// Runs `work` between records, where nothing else touches the database; an error is the group's end.
  void run_between(std::function<Result<void>()> work);
  /// A flush is wanted soon, so that the log can be trimmed: it is full.
  void want_flush();
  Slot applied() const { return Slot(applied_); }
  /// The database waits for room on its disk: nothing more should be proposed.
  Result<void> ready();
  /// Applies what was submitted, flushes, stops.
  void drain();
  /// Stops at once; what was submitted and is not applied is answered as Timeout.
  void abandon();

 private:
  enum class Stop : uint8_t { No, Drain, Abandon };
  /// A record that is applied, its changes not yet written.
  struct Unwritten {
    Slot slot;
    bool command;
    Bytes reply;
    Group::Done done;
    uint64_t checksum;  // of the state there, where it is due
  };
  /// A record, or other work at that place.
  struct Entry {
    Item item;
    std::function<Result<void>()> work;
  };

  bool checksum_due(Slot slot) const { return checksum_every_ && slot.value % checksum_every_ == 0; }
  void schedule();  // with mutex_ held
  void run();
  bool run_once();
  Result<void> apply(Item& item);
  Result<void> wait_for_room(const Error& error);
  void flush_if_due(bool wanted);
  Result<void> collect_flush();
  void finish(Stop how);
  void fail_with(Error error);
  void stop(Stop how);

  const std::string name_;
  Database& database_;
  StateMachine& machine_;
  const GroupOptions& options_;
  const uint32_t checksum_every_;
  Workers& workers_;
  Logger& logger_;
  Events events_;
  Place place_;  // whoever runs: of what is pending, too
  Pending pending_;
  std::vector<Unwritten> unwritten_;
  std::atomic<uint64_t> applied_ = 0;

  std::mutex mutex_;  // between the host's thread and the worker's; guards the block below
  std::condition_variable wake_, idle_;
  std::vector<Entry> queue_;
  bool started_ = false;
  bool running_ = false;  // a worker has it, or will
  bool full_ = false;
  bool flush_finished_ = false;
  bool flush_wanted_ = false;
  Stop stop_ = Stop::No;
  std::optional<Error> failure_;

  // Whoever runs: bytes applied since the start, and when a flush was last asked for or last failed.
  uint64_t applied_bytes_ = 0;
  uint64_t applied_at_flush_ = 0;
  uint64_t no_flush_before_ = 0;
  bool flush_failing_ = false;

  Flusher flusher_;
  std::mutex stop_mutex_;  // drain() from several threads ends once
  bool ended_ = false;
};

}  // namespace hailstone::replica
