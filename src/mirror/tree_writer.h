// Creates what a directory tree is made of beneath one root, with metadata, never through a symlink.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "mirror/directories.h"
#include "mirror/posix.h"
#include "mirror/restore_layout.h"

namespace hailstone::mirror {

enum class Reuse : uint8_t {
  HardLink,  // unchanged files share an inode with the previous tree: free, but writing into one tree writes into all
  Reflink,   // share blocks where the file system can, copy elsewhere
  Copy,
};

/// Paths are relative, without '/' at either end, and checked (restore_paths.h). In a new tree names are created with
/// O_EXCL; in place they are made under a temporary name and renamed over what is there. Not thread-safe.
class TreeWriter {
 public:
  static Result<std::unique_ptr<TreeWriter>> open(const std::string& root, Place place, Owners owners);
  ~TreeWriter();

  /// Made now, with parents; its metadata comes with finish_directories().
  Result<void> directory(ByteView path, const volume::Entry* entry);

  /// One file at a time: begin_file, write any number of times, finish_file. finish_file compares size and SHA-256 with
  /// the entry's (Corrupt: the file is gone) and sets the metadata.
  Result<void> begin_file(ByteView path, const volume::Entry& entry);
  Result<void> write(ByteView bytes);
  Result<void> finish_file();
  void abandon_file();

  Result<void> symlink(ByteView path, const volume::Entry& entry, ByteView target);
  /// Fifos and devices. Devices that the caller's rights or the file system refuse are warnings.
  Result<void> node(ByteView path, const volume::Entry& entry);
  Result<void> hard_link(ByteView path, ByteView existing);

  /// The same file of another tree, by link, reflink or verified copy. `entry_changed`: only its content is the same,
  /// so that it can't share an inode. False when it can't be used and must be fetched.
  enum class Shares : uint8_t { Inode, ContentOnly };
  Result<bool> take_from(Directories& other, ByteView path, const volume::Entry& entry, Reuse reuse, Shares shares);
  /// New metadata on a file that stays as it is.
  Result<void> metadata(ByteView path, const volume::Entry& entry);
  /// In place: removes a name that is no longer wanted; a directory only when empty.
  Result<void> remove(ByteView path);

  /// Modes, owners and times of all directories, deepest first: nothing may be created after it.
  Result<void> finish_directories();
  /// Everything written is durable on return (syncfs).
  Result<void> sync();
  /// Size and mtime of a regular file beneath the root; nothing when it is absent or of another kind.
  struct FileStat {
    uint64_t bytes = 0;
    int64_t modified_ns = 0;
    bool operator==(const FileStat&) const = default;
  };
  static std::optional<FileStat> stat_file(Directories& directories, ByteView path);

  Directories& directories() { return directories_; }
  Warnings& warnings() { return warnings_; }

 private:
  struct Writing;
  TreeWriter(Directories directories, Place place, Owners owners);
  Result<int> parent_of(ByteView path);
  std::string new_name(ByteView path) const;
  Result<void> into_place(int parent, ByteView path);
  Result<void> made(int parent, ByteView path, const volume::Entry& entry);

  Directories directories_;
  Place place_;
  Owners owners_;
  Warnings warnings_;
  std::unique_ptr<Writing> writing_;
  std::map<Bytes, const volume::Entry*, std::less<>> made_directories_;  // null: implied by a key below it
};

}  // namespace hailstone::mirror
