#include "server/janitor.h"

#include <algorithm>
#include <chrono>

namespace hailstone::server {
namespace {

constexpr auto kRound = std::chrono::milliseconds(500);
constexpr int kRoundsPerExpiry = 60;

}  // namespace

void Janitor::start() {
  thread_ = std::thread([this] { run(); });
  upkeep_.start();
}

void Janitor::stop() {
  upkeep_.stop();
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Janitor::run() {
  for (int round = 0;; ++round) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kRound, [this] { return stopping_; })) return;
    }
    seal_due();
    if (round % kRoundsPerExpiry == 0) expire_drafts();
  }
}

void Janitor::seal_due() {
  volume::Repository& repository = node_.repository();
  if (!looking_.due(node_.clock().monotonic_ns())) return;
  const auto due = repository.seal_due(node_.config().seal);
  if (!due) {
    if (looking_.failed(node_.clock().monotonic_ns()))
      logger_.warn("looking for layers to seal failed", {{"error", due.error().message}});
    return;
  }
  looking_ = {};
  // Another node may have sealed it, or it is gone.
  std::erase_if(failing_, [&](const auto& failing) {
    return std::ranges::none_of(
        *due, [&](const auto& layer) { return LayerName(layer.volume, layer.layer) == failing.first; });
  });
  for (const auto& layer : *due) {
    const LayerName name(layer.volume, layer.layer);
    if (const auto failing = failing_.find(name);
        failing != failing_.end() && !failing->second.due(node_.clock().monotonic_ns()))
      continue;
    const auto volume = repository.volume(layer.volume);
    if (!volume) continue;  // deleted meanwhile
    const auto lock = repository.lock_volume((*volume)->record.id);
    const int64_t started = node_.clock().monotonic_ns();
    if (auto sealed = repository.seal(**volume, layer.layer); sealed) {
      ++seals_;
      failing_.erase(name);
      logger_.debug("sealed", {{"volume", layer.volume},
                               {"layer", layer.layer},
                               {"took_ms", (node_.clock().monotonic_ns() - started) / 1'000'000}});
    } else if (sealed.error().code != Code::NotFound) {
      ++seal_failures_;
      if (failing_[name].failed(node_.clock().monotonic_ns()))
        logger_.warn("seal failed",
                     {{"volume", layer.volume}, {"layer", layer.layer}, {"error", sealed.error().message}});
    }
  }
}

void Janitor::expire_drafts() {
  volume::Repository& repository = node_.repository();
  const UnixMicros horizon{node_.clock().wall().value -
                           static_cast<int64_t>(node_.config().draft_lease_seconds) * 1'000'000};
  const auto state = repository.published().load();
  for (const auto& [name, volume] : *state->volumes) {
    const auto drafts = repository.drafts(*volume);
    if (!drafts) continue;
    for (const volume::DraftRecord& draft : *drafts) {
      if (draft.active > horizon) continue;
      if (repository.submit({"system", {}}, volume::ExpireDraft{name, draft.id, horizon})) {
        ++drafts_expired_;
        logger_.info("draft expired", {{"volume", name}, {"draft", draft.id.value}});
      }
    }
  }
}

}  // namespace hailstone::server
