#include "chunk/epochs.h"

#include <fmt/core.h>

#include "base/check.h"

namespace hailstone::chunk {

class Epochs::Session final : public WriteSession {
 public:
  Session(std::shared_ptr<State> state, uint64_t epoch) : state_(std::move(state)), epoch_(epoch) {}
  ~Session() override {
    std::lock_guard lock(state_->mutex);
    --state_->epochs.at(epoch_).sessions;
    state_->settle();
  }

 private:
  const std::shared_ptr<State> state_;
  const uint64_t epoch_;
};

/// Drops epochs that neither a session nor the running collection needs. The current one always stays.
void Epochs::State::settle() {
  while (epochs.size() > 1) {
    const auto& [number, oldest] = *epochs.begin();
    if (oldest.sessions > 0 || (running.epoch != 0 && number >= running.floor)) break;
    touched_ids -= oldest.touched.size();
    epochs.erase(epochs.begin());
  }
  const Epoch& current = epochs.rbegin()->second;
  const bool wanted = epochs.size() > 1 || running.epoch != 0 || current.sessions > 0;
  if (!wanted && recording) {
    touched_ids = 0;
    epochs.rbegin()->second.touched = {};
    epochs.rbegin()->second.overflowed = false;
  }
  recording = wanted;
}

Epochs::Epochs(Position horizon, size_t touched_max) : state_(std::make_shared<State>()) {
  state_->touched_max = touched_max;
  state_->epochs[1].horizon = horizon;
}
Epochs::~Epochs() = default;

std::unique_ptr<WriteSession> Epochs::begin_session() {
  std::lock_guard lock(state_->mutex);
  auto& [number, epoch] = *state_->epochs.rbegin();
  ++epoch.sessions;
  state_->recording = true;
  return std::make_unique<Session>(state_, number);
}

CollectionToken Epochs::begin_locked(Position horizon) {
  CollectionToken token{.epoch = state_->epochs.rbegin()->first + 1, .floor = 0, .sessions = 0};
  token.floor = token.epoch;
  for (const auto& [number, epoch] : state_->epochs) {
    token.sessions += epoch.sessions;
    if (epoch.sessions > 0) token.floor = std::min(token.floor, number);
  }
  state_->epochs[token.epoch].horizon = horizon;
  state_->running = token;
  state_->settle();
  return token;
}

void Epochs::end_collection(const CollectionToken& token) {
  std::lock_guard lock(state_->mutex);
  if (state_->running != token) return;
  state_->running = {};
  state_->settle();
}

void Epochs::touched(uint64_t prefix) {
  // A session that begins after this look has not touched anything yet.
  if (!state_->recording.load(std::memory_order_acquire)) return;
  std::lock_guard lock(state_->mutex);
  auto& epoch = state_->epochs.rbegin()->second;
  if (epoch.overflowed) return;
  if (state_->touched_ids < state_->touched_max) {
    state_->touched_ids += epoch.touched.insert(prefix).second;
  } else if (!epoch.touched.contains(prefix)) {
    epoch.overflowed = true;
  }
}

Result<void> Epochs::check(const CollectionToken& token) const {
  std::lock_guard lock(state_->mutex);
  if (token.epoch == 0 || state_->running != token)
    return fail(Code::Conflict,
                fmt::format("collection {} has ended, {} is running", token.epoch, state_->running.epoch));
  for (auto it = state_->epochs.lower_bound(token.floor); it != state_->epochs.end(); ++it)
    if (it->second.overflowed)
      return fail(Code::Unavailable,
                  fmt::format("more than {} chunks were touched since epoch {}, in which the oldest of {} open write "
                              "sessions began: nothing can be collected until it ends",
                              state_->touched_max, token.floor, token.sessions));
  return {};
}

bool Epochs::protects(const CollectionToken& token, uint64_t prefix, Position at) const {
  std::lock_guard lock(state_->mutex);
  if (state_->running != token) return true;
  const auto first = state_->epochs.find(token.floor);
  CHECK(first != state_->epochs.end());  // settle() keeps it while the collection runs
  if (at >= first->second.horizon) return true;
  for (auto it = first; it != state_->epochs.end(); ++it)
    if (it->second.overflowed || it->second.touched.contains(prefix)) return true;
  return false;
}

}  // namespace hailstone::chunk
