// Background work that keeps the store in order: retention, collection, compaction and scrubbing.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "api/upkeep.h"
#include "server/node.h"

namespace hailstone::server {

/// Owns one thread from start() to stop(); chores run on it one after the other, asked for or due. Retention,
/// collection and compaction follow each other; scrubbing goes on in slices between them, and after a restart where it
/// was.
class Upkeep final : public api::Upkeep {
 public:
  Upkeep(Node& node, Logger& logger);
  ~Upkeep() override { stop(); }
  void start();
  void stop();

  uint64_t ask(api::Chore chore, const api::ChoreOptions& options) override;
  api::Json status() const override;
  Result<std::vector<std::string>> why(const ChunkId& id, size_t limit) override;

  struct Totals {  // since start
    uint64_t releases_trashed = 0, releases_purged = 0;
    uint64_t objects_expired = 0, uploads_aborted = 0;
    uint64_t collections = 0, failures = 0;
    uint64_t trashed_chunks = 0, erased_chunks = 0, erased_bytes = 0;
    uint64_t held_chunks = 0, pinned_chunks = 0;  // by the last collection
    uint64_t trash_chunks = 0;                    // in the trash after it
    uint64_t reachable_chunks = 0;                // the others
    uint64_t compacted_segments = 0, compacted_bytes = 0, moved_bytes = 0;
    uint64_t scrubbed_bytes = 0, scrubbed_chunks = 0, scrub_passes = 0, scrub_damaged = 0;
    chunk::Position scrub;  // where it goes on
  };
  Totals totals() const;

 private:
  static constexpr size_t kChores = 4;
  using Time = std::chrono::steady_clock::time_point;
  struct State {
    uint64_t asked = 0, finished = 0, runs = 0;
    bool running = false;
    api::ChoreOptions options;
    UnixMicros last;
    int64_t took_ms = 0;
    std::string error;
    api::Json result;
  };

  void run();
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  bool asked(api::Chore chore) const;
  void perform(api::Chore chore);
  /// Sleeps, or until stop() or ask().
  void rest(std::chrono::milliseconds time);
  /// Sleeps whatever is asked, or until stop().
  void pause(std::chrono::microseconds time);
  std::function<void(uint64_t)> paced(uint64_t bytes_per_second);

  Result<api::Json> retain(const api::ChoreOptions& options);
  /// S3 lifecycle rules of all volumes, and uploads left behind.
  Result<api::Json> expire();
  Result<api::Json> collect(const api::ChoreOptions& options);
  Result<api::Json> verify();
  Result<api::Json> compact(uint32_t dead_percent);
  Result<api::Json> scrub_all();
  void scrub_slice();
  Result<chunk::LocalStore::Scrubbed> scrub_from(const chunk::Position& from, uint64_t budget);
  void load_cursor();
  void save_cursor();

  Node& node_;
  Logger& logger_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::mutex collector_mutex_;  // one run or question at a time
  mutable std::mutex mutex_;    // guards all below: read by metrics and the API
  std::condition_variable wake_;
  std::array<State, kChores> chores_;
  Totals totals_;
  Time next_collection_;
  Time next_scrub_;
  Time cursor_saved_;  // this and next_* are the thread's own
};

}  // namespace hailstone::server
