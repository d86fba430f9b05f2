#include "replica/flusher.h"

namespace hailstone::replica {

Flusher::Flusher(Database& database, std::function<Result<void>()> before, std::function<void()> finished)
    : database_(database), before_(std::move(before)), finished_(std::move(finished)), thread_([this] { run(); }) {}

Flusher::~Flusher() {
  wait();
  {
    const std::lock_guard hold(mutex_);
    state_ = State::Stopping;
  }
  changed_.notify_all();
  thread_.join();
}

bool Flusher::start(Slot applied) {
  {
    const std::lock_guard hold(mutex_);
    if (state_ != State::Idle) return false;
    state_ = State::Requested;
    outcome_.applied = applied;
  }
  changed_.notify_all();
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
  changed_.wait(hold, [&] { return state_ != State::Requested; });
}

void Flusher::run() {
  std::unique_lock hold(mutex_);
  while (true) {
    changed_.wait(hold, [&] { return state_ == State::Requested || state_ == State::Stopping; });
    if (state_ == State::Stopping) return;
    hold.unlock();
    auto flushed = before_();
    if (flushed) flushed = database_.flush();
    hold.lock();
    outcome_.flushed = std::move(flushed);
    state_ = State::Finished;
    changed_.notify_all();
    hold.unlock();
    finished_();
    hold.lock();
  }
}

}  // namespace hailstone::replica
