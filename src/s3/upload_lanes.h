// What is computed of a body that comes: its sums, and its chunks; each in order, both beside each other and the
// reading.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "chunk/content.h"
#include "http/offload.h"
#include "s3/upload_memory.h"
#include "s3proto/checksum.h"

namespace hailstone::s3 {

/// Called by the thread that serves the request; the work runs on a pool, and owns what it uses: the request may be
/// given up meanwhile. The mutex is for handing pieces over: a lane goes on by itself while there are any, for the
/// serving thread may have to wait for a core.
class UploadLanes : public std::enable_shared_from_this<UploadLanes> {
 public:
  struct Work {
    Work(chunk::ChunkStore& store, const chunk::CutOptions& cut) : writer(store, cut) {}
    s3proto::ChecksumSet sums;
    chunk::ContentWriter writer;
  };
  UploadLanes(http::Executor executor, http::BlockingPool& pool, std::shared_ptr<Work> work);

  void push(std::shared_ptr<const Piece> piece);
  /// Of what was pushed, the writer is to hold nothing that it can store.
  void end_chunk();
  /// Returns when each lane has at most `bytes` before it, with 0 when nothing runs; or what failed first, which ends
  /// all work.
  http::Task<Result<void>> drain(uint64_t bytes);

 private:
  using Pieces = std::vector<std::shared_ptr<const Piece>>;  // for the writer, an empty one means end_chunk()
  using Step = Result<void> (*)(Work&, const std::shared_ptr<const Piece>&);
  struct Lane {
    Step step;
    Pieces waiting{};
    bool running = false;
    uint64_t bytes = 0;  // waiting or in work
  };
  enum class Turn : uint8_t { Yielded, Done };
  using Timer = http::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                 http::asio::wait_traits<std::chrono::steady_clock>, http::Executor>;
  using Lock = std::unique_lock<std::mutex>;

  bool drained(uint64_t bytes) const;
  void start(Lane& lane, Lock& lock);
  static http::Task<void> run(std::shared_ptr<UploadLanes> self, Lane& lane);
  Turn take_turn(Lane& lane);
  void wake_if_due();

  http::Executor executor_;
  http::BlockingPool& pool_;
  const std::shared_ptr<Work> work_;
  Timer changed_;     // of the serving thread
  std::mutex mutex_;  // guards all below
  Result<void> outcome_;
  std::array<Lane, 2> lanes_;
  std::optional<uint64_t> awaited_;  // drain() waits for it
};

}  // namespace hailstone::s3
