// RocksDB's file system over the disk seam, so that simulated crashes and full disks reach its files too.
#pragma once

#include <rocksdb/env.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "disk/disk.h"

namespace hailstone::replica {

/// What a full disk does to RocksDB's files: nothing. Whoever writes one waits here until there is room, so that
/// RocksDB never sees the error, which would stop it, and from which its recovery (7.8) does not always come back.
class Room {
 public:
  /// From now on a full disk is waited for; before, and once closed, it is an error.
  void open() { waits_ = true; }
  void close();
  /// Somebody waits.
  bool full() const { return waiting_ > 0; }

  /// Repeats `attempt` while it is Exhausted.
  template <class Attempt>
  auto persist(Attempt attempt) -> decltype(attempt()) {
    auto done = attempt();
    if (done || done.error().code != Code::Exhausted || !waits_) return done;
    ++waiting_;
    do {
      if (!pause()) break;
      done = attempt();
    } while (!done && done.error().code == Code::Exhausted);
    --waiting_;
    return done;
  }

 private:
  bool pause();  // false: closed

  std::mutex mutex_;
  std::condition_variable closed_;
  std::atomic<bool> waits_ = false;
  std::atomic<int> waiting_ = 0;
};

/// The system's threads and clock, and files on `disk`; both must outlive it. Write-ahead log files are not kept: the
/// group's log is the log.
std::unique_ptr<rocksdb::Env> make_rocks_env(disk::Disk& disk, Room& room);

/// Exhausted, Corrupt, NotFound and Io keep their meaning both ways.
Error error_of(const rocksdb::Status& status);

}  // namespace hailstone::replica
