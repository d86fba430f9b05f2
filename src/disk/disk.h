// Files behind a seam: everything durable goes through Disk, so that tests can drop, tear, fail or fill it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::disk {

/// An open file. Offsets and sizes in bytes. Not thread-safe for overlapping writes; concurrent reads are fine.
/// Closing happens in the destructor and promises nothing about durability: only sync() does.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to out.size() bytes; fewer only at the end of the file. Io on device errors.
  virtual Result<size_t> read_at(uint64_t offset, std::span<char> out) const = 0;
  /// Writes all of `data`, extending the file as needed. Exhausted when the file system is full (some prefix may have
  /// been written), Io otherwise.
  virtual Result<void> write_at(uint64_t offset, ByteView data) = 0;
  /// A hint: these bytes are complete, and sync() will be quicker if their way to the device begins now.
  virtual void start_writeback(uint64_t offset, uint64_t bytes) {
    (void)offset;
    (void)bytes;
  }
  /// Every byte written before is durable after this returns (fdatasync). After a failure the file is suspect: Io for
  /// ever.
  virtual Result<void> sync() = 0;
  virtual Result<void> truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() const = 0;
  /// For sendfile(2); -1 where there is no kernel file behind it.
  virtual int native_handle() const { return -1; }
};

enum class OpenMode : uint8_t {
  Read,       // must exist
  Write,      // read and write, must exist
  Create,     // read and write, created if absent
  CreateNew,  // read and write; Exists if it is there
};

/// Releases its lock when destroyed.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  /// Atomic replace; durable only after sync_directory of the directories concerned.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  /// With parents; existing directories are fine. What it makes is durable on return.
  virtual Result<void> make_directories(const std::string& path) = 0;
  virtual Result<void> remove_directory(const std::string& path) = 0;  // must be empty (else Conflict)
  /// Names (not paths) in byte order, without "." and "..".
  virtual Result<std::vector<std::string>> list(const std::string& path) const = 0;
  virtual Result<bool> exists(const std::string& path) const = 0;
  virtual Result<bool> is_directory(const std::string& path) const = 0;
  virtual Result<uint64_t> file_size(const std::string& path) const = 0;
  /// Creations, renames and removals in this directory are durable after it returns.
  virtual Result<void> sync_directory(const std::string& path) = 0;
  /// Bytes an unprivileged writer may still use on the file system of `path`.
  virtual Result<uint64_t> free_bytes(const std::string& path) const = 0;
  /// `path`: a directory, or a file (created if absent). Held once: Unavailable, naming the path, when it is held
  /// already, be it by another process or by this one.
  virtual Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path) = 0;
};

/// "a/b" of "a/b/c", "." of "c", "/" of "/c".
std::string parent_directory(const std::string& path);
/// The whole content; NotFound when absent, Invalid when larger than `bytes_max`.
Result<Bytes> read_file(Disk& disk, const std::string& path, uint64_t bytes_max);
/// The same into `content`, whose memory is used again: for many large files, one after the other.
Result<void> read_file(Disk& disk, const std::string& path, uint64_t bytes_max, Bytes& content);
/// Old content or new, never a mix, durable on return: temporary file (`path` + ".tmp"), sync, rename, sync
/// of the directory. One writer per path at a time.
Result<void> write_file_atomic(Disk& disk, const std::string& path, ByteView content);

/// The kernel's files.
std::unique_ptr<Disk> make_real_disk();

}  // namespace hailstone::disk
