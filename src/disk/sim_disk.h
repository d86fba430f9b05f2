// A disk in memory that forgets, tears, fails and fills up on command: what every crash test runs on.
//
// Device model. A file is its durable content plus the writes and truncations made since its last sync. A directory is
// its durable entries plus the creations, renames and removals made since its last sync_directory; syncing a file does
// not make its name durable. A crash settles what was not synced, by mode:
//   Drop  none of it happened.
//   Keep  all of it happened.
//   Torn  any of it happened: unsynced writes are cut into sectors of 512 bytes, of which any subset lands, in any
//   order; each
//         truncation and each directory operation happened or did not (a rename wholly or not at all). What lies
//         between the old end of a file and a sector that landed beyond it reads as zeros.
// A sector holds its old bytes or its new ones, never a mix; synced bytes are only lost by flip(). A failed sync
// discards the writes it should have made durable (they stay readable until the crash), as Linux does.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "disk/disk.h"

namespace hailstone::disk {

inline constexpr size_t kSimSectorBytes = 512;

/// Thread-safe. Every mutating call (write, sync, truncate, creation, rename, removal, sync_directory) counts as one
/// operation, numbered from 1, whether it succeeds or not.
class SimDisk final : public Disk {
 public:
  enum class CrashMode : uint8_t { Drop, Keep, Torn };
  /// How a torn file may have grown. Ordered: as far as its data landed without a gap (ext4 data=ordered, XFS).
  /// Free: by any sectors, with zeros between and after them.
  enum class Growth : uint8_t { Ordered, Free };

  explicit SimDisk(Growth growth = Growth::Free) : growth_(growth) {}
  ~SimDisk() override;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;  // files only
  Result<void> remove(const std::string& path) override;
  Result<void> make_directories(const std::string& path) override;
  Result<void> remove_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) const override;
  Result<bool> exists(const std::string& path) const override;
  Result<bool> is_directory(const std::string& path) const override;
  Result<uint64_t> file_size(const std::string& path) const override;
  Result<void> sync_directory(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) const override;
  Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path) override;

  /// Operations seen so far.
  uint64_t operations() const;
  /// Operation number `operation` fails with Io: a write may have put down its first half, a sync has lost its writes,
  /// anything else did nothing. 0 switches it off.
  void fail_at(uint64_t operation);
  /// Operation number `operation` and all calls after it fail with Io until restart(). A write or directory operation
  /// that the crash meets counts as unsynced. 0 switches it off.
  void crash_at(uint64_t operation);
  /// The same, now.
  void crash();
  bool crashed() const;
  /// Settles what was not synced, forgets open files and locks (old handles fail with Io), clears crash_at and fail_at.
  void restart(CrashMode mode, uint64_t seed);
  /// Writes that would make the sum of the file sizes exceed this put down what fits and are Exhausted. No limit at
  /// first.
  void set_capacity(uint64_t bytes);
  /// Sum of the file sizes.
  uint64_t used_bytes() const;
  /// Damage: xors `mask` into each of `count` durable bytes at `offset`. NotFound, or Invalid beyond the end.
  Result<void> flip(const std::string& path, uint64_t offset, uint8_t mask = 0xff, uint64_t count = 1);

 private:
  friend class SimFile;
  friend class SimLock;
  struct Change {
    enum class Kind : uint8_t { Write, Truncate } kind;
    uint64_t offset;  // Truncate: the new size
    Bytes data;
  };
  struct Node {
    bool directory = false;
    Bytes live;  // what readers see
    Bytes durable;
    std::vector<Change> unsynced;  // in order
  };
  struct NameChange {
    std::string path;
    std::shared_ptr<Node> node;  // null: the name is gone
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  using NameOperation = std::vector<NameChange>;  // happens wholly or not at all
  enum class Fate : uint8_t { Happens, Fails, Crashes };

  // All of these with mutex_ held.
  Result<void> running() const;
  Fate next_operation();
  Result<std::shared_ptr<Node>> find(const std::string& path) const;
  void change_names(NameOperation operation);
  void settle_names(const std::string& directory);
  bool has_directory(const std::string& path) const;
  uint64_t used_locked() const;
  static void apply(Bytes& content, const Change& change);
  void settle_torn(Node& node, std::mt19937_64& random) const;

  mutable std::mutex mutex_;  // RocksDB's background threads share the disk
  const Growth growth_;
  Names live_;
  Names durable_;
  std::vector<NameOperation> unsynced_names_;  // in order
  std::set<std::string> locks_;
  uint64_t life_ = 0;  // handles of an earlier life are dead
  uint64_t operations_ = 0;
  uint64_t fail_at_ = 0;
  uint64_t crash_at_ = 0;
  bool crashed_ = false;
  uint64_t capacity_ = UINT64_MAX;
};

}  // namespace hailstone::disk
