#include "cli/upload_pipeline.h"

#include "cli/output.h"

namespace hailstone::cli {

PackAhead::PackAhead(mirror::Packer& packer) : packer_(packer), thread_([this] { run(); }) {}

PackAhead::~PackAhead() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PackAhead::run() {
  while (true) {
    Piece piece;
    const auto progress = packer_.produce(piece.bytes, kPieceBytes);
    std::unique_lock lock(mutex_);
    if (!progress || *progress == mirror::Packer::Progress::Done) {
      if (!progress) failed_ = progress.error();
      done_ = true;
      changed_.notify_all();
      return;
    }
    piece.batch_end = *progress == mirror::Packer::Progress::BatchEnd;
    piece.next_step = packer_.position();
    changed_.wait(lock, [&] { return stop_ || pieces_.size() < kAheadMax; });
    if (stop_) return;
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
  }
}

Result<std::optional<PackAhead::Piece>> PackAhead::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !pieces_.empty() || done_; });
  if (pieces_.empty()) {
    if (failed_) return std::unexpected(*failed_);
    return std::optional<Piece>();
  }
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  changed_.notify_all();
  return std::optional<Piece>(std::move(piece));
}

namespace {

constexpr const char* kWireType = "application/vnd.hailstone.wire";

// The batches of one packer, as request bodies that can be started again.
class Batches {
 public:
  explicit Batches(mirror::Packer& packer) : packer_(packer) {}

  /// False when there is no batch left.
  Result<bool> begin() {
    if (!ahead_) ahead_.emplace(packer_);
    TRY(first_, ahead_->take());
    bytes_before_ = bytes_;
    fresh_ = true;
    return first_.has_value();
  }

  /// Of the batch begun; from its first step when it is asked for again.
  Result<BodyPull> pull(const std::function<void(uint64_t)>& sent) {
    if (!fresh_) {
      ahead_.reset();
      packer_.seek(start_);
      ahead_.emplace(packer_);
      bytes_ = bytes_before_;
      TRY(first_, ahead_->take());
      // What made the batch may be gone from the disk by now.
      if (!first_) return fail(Code::Cancelled, "the files of a batch changed while it was sent again; import again");
    }
    fresh_ = false;
    ended_ = false;
    return BodyPull([this, &sent](Bytes& out) -> Result<bool> {
      if (ended_) return false;
      std::optional<PackAhead::Piece> piece = std::exchange(first_, std::nullopt);
      if (!piece) {
        TRY(piece, ahead_->take());
        if (!piece) return fail(Code::Io, "an upload stream ended early");
      }
      out += piece->bytes;
      bytes_ += piece->bytes.size();
      sent(bytes_);
      if (piece->batch_end) {
        ended_ = true;
        next_start_ = piece->next_step;
      }
      return true;
    });
  }

  void committed() { start_ = next_start_; }
  uint64_t bytes() const { return bytes_; }

 private:
  mirror::Packer& packer_;
  std::optional<PackAhead> ahead_;
  std::optional<PackAhead::Piece> first_;
  bool fresh_ = false;
  bool ended_ = false;
  size_t start_ = 0, next_start_ = 0;
  uint64_t bytes_ = 0, bytes_before_ = 0;
};

}  // namespace

Result<UploadTotals> upload_all(Api& api, const std::string& target, mirror::Packer& packer, Bytes token,
                                const std::function<void(uint64_t)>& sent) {
  UploadTotals totals;
  totals.token = std::move(token);
  totals.exclusive = !totals.token.empty();
  Batches batches(packer);
  while (true) {
    TRY(const bool more, batches.begin());
    if (!more) break;
    TRY(const Json answer,
        api.upload("POST", target_path(target, "upload"), kWireType, std::nullopt, [&] { return batches.pull(sent); }));
    batches.committed();
    ++totals.batches;
    totals.new_chunks += answer.value("new_chunks", uint64_t{0});
    // A token before ours that is not the one after our last write means that somebody else wrote in between.
    totals.exclusive = totals.exclusive && answer.value("previous_token", "") == totals.token;
    totals.token = answer.value("token", "");
  }
  totals.stream_bytes = batches.bytes();
  return totals;
}

}  // namespace hailstone::cli
