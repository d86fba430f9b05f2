#include "chunk/hedged_read.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <string>

#include "chunk/remote_wire.h"
#include "chunk/stored.h"

namespace hailstone::chunk {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

}  // namespace

void Latency::note(microseconds took) {
  kept_[noted_++ % kKept] = took;
  mean_ = noted_ == 1 ? took : mean_ + (took - mean_) / 8;
  if (noted_ % 8 != 1) return;  // a little late is good enough
  auto sorted = kept_;
  const auto end = sorted.begin() + static_cast<ptrdiff_t>(std::min(noted_, kKept));
  const auto at = sorted.begin() + (end - sorted.begin()) * 19 / 20;
  std::nth_element(sorted.begin(), at, end);
  p95_ = *at;
}

/// One get(): the answers that came, for its thread to look at.
struct HedgedReader::Race {
  struct Attempt {
    net::NodeId store;
    net::Rpc::CallId call = 0;
    bool ended = false;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Attempt> attempts;
  std::deque<std::pair<size_t, Result<Bytes>>> answers;  // by attempt
};

microseconds HedgedReader::expected(net::NodeId store) const {
  const std::lock_guard lock(mutex_);
  const auto found = latencies_.find(store);
  return found == latencies_.end() ? microseconds(0) : found->second.mean();
}

microseconds HedgedReader::hedge_after(net::NodeId store) const {
  const std::lock_guard lock(mutex_);
  const auto found = latencies_.find(store);
  if (found == latencies_.end() || found->second.p95() == microseconds(0)) return options_.hedge_first;
  return std::clamp<microseconds>(found->second.p95(), options_.hedge_min, options_.hedge_max);
}

HedgedReader::Metrics HedgedReader::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}

void HedgedReader::start(const std::shared_ptr<Race>& race, const ChunkId& id, net::NodeId store) {
  size_t number = 0;
  {
    const std::lock_guard lock(race->mutex);
    number = race->attempts.size();
    race->attempts.push_back({.store = store});
  }
  const auto finish = [race, number](Result<Bytes> answer) {
    const std::lock_guard lock(race->mutex);
    race->attempts[number].ended = true;
    race->answers.emplace_back(number, std::move(answer));
    race->changed.notify_one();
  };
  const auto begun = Clock::now();
  const auto done = [this, store, begun, finish](Result<Bytes> answer) {
    const auto took = std::chrono::duration_cast<microseconds>(Clock::now() - begun);
    // One that was given up would have taken longer still; that it was lost says nothing.
    if (answer || answer.error().code == Code::Cancelled) {
      const std::lock_guard lock(mutex_);
      latencies_[store].note(took);
    }
    finish(std::move(answer));
  };
  const auto method = static_cast<uint16_t>(RemoteMethod::Get);
  const auto call = rpc_.call(store, method, encode_ids({&id, 1}), options_.patience, done);
  if (!call) return finish(std::unexpected(call.error()));
  const std::lock_guard lock(race->mutex);
  race->attempts[number].call = *call;
}

Result<HedgedReader::Read> HedgedReader::judge(const ChunkId& id, net::NodeId from, const Result<Bytes>& answer) {
  if (!answer) return std::unexpected(answer.error());
  TRY(const auto answers, read_get_answers(*answer, 1));
  TRY(const StoredView chunk, answers[0].chunk);
  TRY(Bytes bytes, unpack(compressor_, id, chunk));
  return Read{.stored = {chunk.bytes, chunk.zstd, Bytes(chunk.payload)}, .bytes = std::move(bytes), .from = from};
}

Result<HedgedReader::Read> HedgedReader::get(const ChunkId& id, std::span<const net::NodeId> stores) {
  const auto race = std::make_shared<Race>();
  {
    const std::lock_guard lock(mutex_);
    ++metrics_.reads;
  }
  std::string reasons;
  bool damaged = false, unreachable = false;
  size_t next = 0, open = 0;
  while (true) {
    if (open == 0 && next == stores.size()) break;
    if (open == 0) {
      start(race, id, stores[next++]);
      ++open;
    }
    std::unique_lock lock(race->mutex);
    const auto answered = [&] { return !race->answers.empty(); };
    if (next == stores.size()) {
      race->changed.wait(lock, answered);  // each call has a deadline
    } else if (!race->changed.wait_for(lock, hedge_after(race->attempts.back().store), answered)) {
      lock.unlock();
      start(race, id, stores[next++]);
      ++open;
      const std::lock_guard metrics_lock(mutex_);
      ++metrics_.hedged;
      continue;
    }
    const auto [number, answer] = std::move(race->answers.front());
    race->answers.pop_front();
    const net::NodeId from = race->attempts[number].store;
    lock.unlock();
    --open;
    auto read = judge(id, from, answer);
    if (read) {
      lock.lock();
      const auto attempts = race->attempts;
      lock.unlock();
      for (const Race::Attempt& attempt : attempts)
        if (!attempt.ended && attempt.call != 0) rpc_.cancel(attempt.call);
      return read;
    }
    const Error& error = read.error();
    reasons += fmt::format("; {}: {}", net::node_name(from), error.message);
    if (error.code == Code::Corrupt || error.code == Code::Invalid) {
      damaged = true;
      logger_.warn("chunk damaged at a peer",
                   {{"chunk", id.hex()}, {"peer", net::node_name(from)}, {"reason", error.message}});
      const std::lock_guard metrics_lock(mutex_);
      ++metrics_.damaged;
    } else if (error.code != Code::NotFound) {
      unreachable = true;
    }
  }
  if (unreachable)
    return fail(Code::Unavailable,
                fmt::format("chunk {}: not every store could be asked: see that they run{}", id.brief(), reasons));
  if (damaged) return fail(Code::Corrupt, fmt::format("chunk {}: no good copy{}", id.brief(), reasons));
  return fail(Code::NotFound, fmt::format("chunk {}: in none of {} stores", id.brief(), stores.size()));
}

}  // namespace hailstone::chunk
