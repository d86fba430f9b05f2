// Executes an import plan: reads the files and produces the wire streams to send, one a batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mirror/directories.h"
#include "mirror/plan.h"
#include "mirror/wire.h"

namespace hailstone::mirror {

struct BatchLimits {
  uint64_t bytes = 64u << 20;  // a batch ends after the step that passes this; one big file may make it longer
  uint64_t steps = 20'000;
};

/// Reads the local tree for planning. Files only read; nothing is kept open but one directory path.
class TreeProbe final : public Probe {
 public:
  static Result<std::unique_ptr<TreeProbe>> open(const std::string& root, Bytes prefix);
  Result<Xattrs> xattrs(const Item& item) override;
  Result<Hash256> content_sha256(const Item& item) override;

 private:
  TreeProbe(Directories directories, Bytes prefix) : directories_(std::move(directories)), prefix_(std::move(prefix)) {}
  Directories directories_;
  Bytes prefix_;
};

/// What became of a step.
struct StepResult {
  enum class Outcome : uint8_t {
    Pending,
    Sent,
    Unchanged,  // read, and found equal to what the server has
    Vanished,   // removed since the scan: nothing to send, not an error
    Failed,     // message says why
  };
  Outcome outcome = Outcome::Pending;
  std::optional<StateRecord> record;  // for the new state, of Sent and Unchanged
  std::string message;
};

/// The server's entry of a key now, for a Meta step that has none. Nothing when the server lacks it.
using EntryLookup = std::function<Result<std::optional<volume::Entry>>(const Bytes& key)>;

/// Produces the streams of the batches one after the other. Not thread-safe; meant to run on a thread of its own, ahead
/// of the sender.
class Packer {
 public:
  ~Packer();
  /// Borrows all three; they must outlive it.
  static Result<std::unique_ptr<Packer>> open(const std::string& root, const Scan& scan, const Plan& plan, Bytes prefix,
                                              EntryLookup lookup, const BatchLimits& limits = {});

  enum class Progress : uint8_t {
    More,      // call again
    BatchEnd,  // the stream of this batch is complete
    Done,      // no steps are left; `out` is untouched
  };
  /// Appends at least one byte, about `chunk_bytes`, of the current batch's stream to `out`.
  Result<Progress> produce(Bytes& out, size_t chunk_bytes);

  /// Starts again at a step: the start of a batch whose sending failed.
  void seek(size_t step);
  size_t position() const { return next_; }
  const std::vector<StepResult>& results() const { return results_; }
  std::vector<StepResult>& results() { return results_; }

 private:
  struct Large;  // a file being streamed, over many calls of produce()
  Packer(Directories directories, const Scan& scan, const Plan& plan, Bytes prefix, EntryLookup lookup,
         const BatchLimits& limits);

  Result<void> run_step(const Step& step, StepResult& result);
  void put(const Step& step, StepResult& result);
  void put_plain(const Step& step, Item item, StepResult& result);
  void put_file(const Step& step, Item item, unsigned attempts_left, StepResult& result);
  void put_small(const Step& step, Item item, Fd fd, unsigned attempts_left, StepResult& result);
  void put_large(const Step& step, Item item, Fd fd, unsigned attempts_left, StepResult& result);
  void continue_large();
  Result<void> meta(const Step& step, StepResult& result);
  void sent(const Item& item, uint64_t print, StepResult& result, StepResult::Outcome outcome);
  Directories directories_;
  const Scan& scan_;
  const Plan& plan_;
  Bytes prefix_;
  EntryLookup lookup_;
  BatchLimits limits_;
  std::vector<StepResult> results_;
  size_t next_ = 0;
  size_t batch_steps_ = 0;
  uint64_t batch_bytes_ = 0;
  bool batch_emitted_ = false;  // some of its stream was handed out
  std::optional<WireEncoder> encoder_;
  std::unique_ptr<Large> large_;
  Bytes buffer_;  // of small files, reused
};

}  // namespace hailstone::mirror
