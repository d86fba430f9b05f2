// Flushes the group's database on a thread of its own, so that commits go on meanwhile, and tells what became durable.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/ids.h"
#include "replica/database.h"

namespace hailstone::replica {

/// Everything but the flush itself happens on the caller's thread. One flush at a time.
class Flusher {
 public:
  struct Outcome {
    Slot applied;  // as given to start(): durable if the flush succeeded
    Result<void> flushed;
  };

  /// On the flusher's thread `before` runs ahead of each flush, and fails it; `finished` runs after it.
  Flusher(Database& database, std::function<Result<void>()> before, std::function<void()> finished);
  /// Waits for the flush in progress.
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// Begins a flush of a database that holds everything up to `applied`. False while one runs or waits to be collected.
  bool start(Slot applied);
  /// The finished flush, once.
  std::optional<Outcome> collect();
  /// Waits for the flush in progress, if any.
  void wait();

 private:
  enum class State : uint8_t { Idle, Requested, Finished, Stopping };
  void run();

  Database& database_;
  const std::function<Result<void>()> before_;
  const std::function<void()> finished_;
  std::mutex mutex_;  // between the caller's thread and the flusher's
  std::condition_variable changed_;
  State state_ = State::Idle;
  Outcome outcome_;
  std::thread thread_;
};

}  // namespace hailstone::replica
