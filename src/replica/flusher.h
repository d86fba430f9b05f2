// Flushes a group's database beside its commits, and tells what became durable.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "base/ids.h"
#include "replica/database.h"
#include "replica/workers.h"

namespace hailstone::replica {

/// Everything but the flush itself happens on the caller's thread. One flush at a time.
class Flusher {
 public:
  struct Outcome {
    Slot applied;  // as given to start(): durable if the flush succeeded
    Result<void> flushed;
  };

  /// On a worker `before` runs ahead of each flush, and fails it; `finished` runs after it.
  Flusher(Workers& workers, Database& database, std::function<Result<void>()> before, std::function<void()> finished);
  /// Waits for the flush in progress.
  ~Flusher() { wait(); }
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// Begins a flush of a database that holds everything up to `applied`. False while one runs or waits to be collected.
  bool start(Slot applied);
  /// The finished flush, once.
  std::optional<Outcome> collect();
  /// Waits for the flush in progress, if any.
  void wait();

 private:
  enum class State : uint8_t { Idle, Running, Finished };
  void run();

  Workers& workers_;
  Database& database_;
  const std::function<Result<void>()> before_;
  const std::function<void()> finished_;
  std::mutex mutex_;  // between the caller's thread and the worker
  std::condition_variable changed_;
  State state_ = State::Idle;
  bool busy_ = false;  // a worker is in run()
  Outcome outcome_;
};

}  // namespace hailstone::replica
