#include "replica/flusher.h"

namespace hailstone::replica {

Flusher::Flusher(Workers& workers, Database& database, std::function<Result<void>()> before,
                 std::function<void()> finished)
    : workers_(workers), database_(database), before_(std::move(before)), finished_(std::move(finished)) {}

bool Flusher::start(Slot applied) {
  {
    std::unique_lock hold(mutex_);
    if (state_ != State::Idle) return false;
    changed_.wait(hold, [&] { return !busy_; });  // the one before is saying that it has finished
    busy_ = true;
    state_ = State::Running;
    outcome_.applied = applied;
  }
  workers_.post([this] { run(); });
  return true;
}

std::optional<Flusher::Outcome> Flusher::collect() {
  const std::lock_guard hold(mutex_);
  if (state_ != State::Finished) return std::nullopt;
  state_ = State::Idle;
  return outcome_;
}

void Flusher::wait() {
  std::unique_lock hold(mutex_);
  changed_.wait(hold, [&] { return !busy_; });
}

void Flusher::run() {
  auto flushed = before_();
  if (flushed) flushed = database_.flush();
  {
    const std::lock_guard hold(mutex_);
    outcome_.flushed = std::move(flushed);
    state_ = State::Finished;
  }
  finished_();
  // Whoever waits may end this object at once: told while the mutex is held.
  const std::lock_guard hold(mutex_);
  busy_ = false;
  changed_.notify_all();
}

}  // namespace hailstone::replica
