// Sends what a Packer produces: it reads ahead on its own thread while this one sends; a failed batch is packed again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/api.h"
#include "mirror/pack.h"

namespace hailstone::cli {

/// Runs Packer::produce on a thread, at most kAheadMax pieces ahead of the taker.
class PackAhead {
 public:
  struct Piece {
    Bytes bytes;
    bool batch_end = false;
    size_t next_step = 0;  // after batch_end: where the next batch starts
  };
  explicit PackAhead(mirror::Packer& packer);
  /// Stops the thread, wherever it is; the packer may then be used again.
  ~PackAhead();
  /// The next piece, nothing at the end of all batches, or what packing failed with.
  Result<std::optional<Piece>> take();

 private:
  static constexpr size_t kPieceBytes = 1u << 20;
  static constexpr size_t kAheadMax = 16;
  void run();

  mirror::Packer& packer_;
  // The one place where two threads meet: the queue, its end, its error.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::optional<Error> failed_;
  bool done_ = false;
  bool stop_ = false;
  std::thread thread_;
};

struct UploadTotals {
  uint64_t batches = 0;
  uint64_t stream_bytes = 0;
  uint64_t new_chunks = 0;
  Bytes token;            // of the last answer
  bool exclusive = true;  // every answer proved that nobody else wrote between our batches
};

/// Sends every batch to `target`, each as one request, with retries. `token` is what the target's token was when the
/// plan was made: empty if unknown. `sent` is called with the stream bytes so far.
Result<UploadTotals> upload_all(Api& api, const std::string& target, mirror::Packer& packer, Bytes token,
                                const std::function<void(uint64_t)>& sent);

}  // namespace hailstone::cli
