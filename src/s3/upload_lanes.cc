#include "s3/upload_lanes.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

namespace hailstone::s3 {
namespace {

constexpr size_t kChunks = 1;                        // the lane after the sums'
constexpr uint64_t kTurnBytes = 1u << 20;            // after so much, a lane lets others work that wait
constexpr auto kUntilWoken = std::chrono::hours(1);  // a job ends sooner, and wakes

using PiecePointer = std::shared_ptr<const Piece>;

Result<void> sum(UploadLanes::Work& work, const PiecePointer& piece) {
  work.sums.update(piece->bytes());
  return {};
}

Result<void> store(UploadLanes::Work& work, const PiecePointer& piece) {
  return piece ? work.writer.write(piece->bytes(), piece) : work.writer.end_chunk();
}

}  // namespace

UploadLanes::UploadLanes(http::Executor executor, http::BlockingPool& pool, std::shared_ptr<Work> work)
    : executor_(std::move(executor)),
      pool_(pool),
      work_(std::move(work)),
      changed_(executor_),
      lanes_{{{.step = sum}, {.step = store}}} {}

void UploadLanes::push(PiecePointer piece) {
  Lock lock(mutex_);
  for (Lane& lane : lanes_) {
    lane.waiting.push_back(piece);
    lane.bytes += piece->size;
  }
  piece.reset();
  for (Lane& lane : lanes_) start(lane, lock);
}

void UploadLanes::end_chunk() {
  Lock lock(mutex_);
  lanes_[kChunks].waiting.push_back(nullptr);
  start(lanes_[kChunks], lock);
}

bool UploadLanes::drained(uint64_t bytes) const {
  return std::ranges::all_of(lanes_,
                             [&](const Lane& lane) { return bytes == 0 ? !lane.running : lane.bytes <= bytes; });
}

http::Task<Result<void>> UploadLanes::drain(uint64_t bytes) {
  for (;;) {
    {
      const Lock lock(mutex_);
      if (!outcome_ || drained(bytes)) co_return outcome_;
      awaited_ = bytes / 2;  // not woken for each piece
    }
    changed_.expires_after(kUntilWoken);
    co_await changed_.async_wait(http::asio::as_tuple(http::asio::deferred));
  }
}

void UploadLanes::start(Lane& lane, Lock& lock) {
  if (lane.running || lane.waiting.empty() || !outcome_) return;
  lane.running = true;
  lock.unlock();
  http::asio::co_spawn(executor_, run(shared_from_this(), lane), http::asio::detached);
  lock.lock();
}

http::Task<void> UploadLanes::run(std::shared_ptr<UploadLanes> self, Lane& lane) {
  for (;;) {
    // By value: this frame may be destroyed while the job runs on.
    auto turn = co_await http::offload(self->pool_, [self, &lane]() -> Result<Turn> { return self->take_turn(lane); });
    if (turn && *turn == Turn::Yielded) continue;
    if (turn) co_return;
    const Lock lock(self->mutex_);
    lane.running = false;
    if (self->outcome_) self->outcome_ = std::unexpected(std::move(turn).error());
    self->wake_if_due();
    co_return;
  }
}

// On a thread of the pool.
UploadLanes::Turn UploadLanes::take_turn(Lane& lane) {
  uint64_t done = 0;
  Lock lock(mutex_);
  while (outcome_ && !lane.waiting.empty()) {
    if (done >= kTurnBytes && pool_.queued() > 0) return Turn::Yielded;
    Pieces pieces = std::exchange(lane.waiting, {});
    for (PiecePointer& piece : pieces) {
      if (!outcome_) break;
      const uint64_t size = piece ? piece->size : 0;
      lock.unlock();
      auto result = lane.step(*work_, piece);
      piece.reset();
      lock.lock();
      done += size;
      lane.bytes -= size;
      if (!result && outcome_) outcome_ = std::move(result);
      wake_if_due();
    }
  }
  lane.waiting.clear();
  lane.running = false;
  wake_if_due();
  return Turn::Done;
}

// The serving thread outlives the job that calls this (http/offload.h).
void UploadLanes::wake_if_due() {
  if (!awaited_ || (outcome_ && !drained(*awaited_))) return;
  awaited_.reset();
  http::asio::post(executor_, [self = shared_from_this()] { self->changed_.cancel(); });
}

}  // namespace hailstone::s3
