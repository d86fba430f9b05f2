#include "replica/rocks_file_system.h"

#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace hailstone::replica {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus status_of(const Error& error) {
  switch (error.code) {
    case Code::NotFound: return IOStatus::PathNotFound(error.message);
    case Code::Exhausted: return IOStatus::NoSpace(error.message);
    case Code::Corrupt: return IOStatus::Corruption(error.message);
    case Code::Unavailable: return IOStatus::Busy(error.message);
    case Code::Invalid: return IOStatus::InvalidArgument(error.message);
    case Code::Unsupported: return IOStatus::NotSupported(error.message);
    default: return IOStatus::IOError(error.message);
  }
}

template <class T>
IOStatus status_of(const Result<T>& result) {
  return result ? IOStatus::OK() : status_of(result.error());
}

/// Copies a value out, or leaves `out` alone and reports why.
template <class T, class Out>
IOStatus deliver(Result<T> result, Out* out) {
  if (result) *out = std::move(*result);
  return status_of(result);
}

IOStatus read_into(const disk::File& file, uint64_t offset, size_t count, Slice* result, char* scratch) {
  const auto got = file.read_at(offset, {scratch, count});
  *result = Slice(scratch, got ? *got : 0);
  return status_of(got);
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<disk::File> file) : file_(std::move(file)) {}
  IOStatus Read(size_t count, const IOOptions&, Slice* result, char* scratch, IODebugContext*) override {
    const IOStatus status = read_into(*file_, offset_, count, result, scratch);
    offset_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t count) override {
    offset_ += count;
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<disk::File> file_;
  uint64_t offset_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessFile(std::unique_ptr<disk::File> file) : file_(std::move(file)) {}
  IOStatus Read(uint64_t offset, size_t count, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    return read_into(*file_, offset, count, result, scratch);
  }

 private:
  std::unique_ptr<disk::File> file_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(std::unique_ptr<disk::File> file, uint64_t size, Room& room)
      : file_(std::move(file)), size_(size), room_(room) {}
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    const auto written = room_.persist([&] { return file_->write_at(size_, ByteView(data.data(), data.size())); });
    if (written) size_ += data.size();
    return status_of(written);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    const auto truncated = file_->truncate(size);
    if (truncated) size_ = size;
    return status_of(truncated);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    file_.reset();
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return status_of(room_.persist([&] { return file_->sync(); }));
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  std::unique_ptr<disk::File> file_;
  uint64_t size_;
  Room& room_;
};

/// RocksDB opens a write-ahead log even where no write uses it.
class NoLogFile final : public rocksdb::FSWritableFile {
 public:
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    size_ += data.size();
    return IOStatus::OK();
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    size_ = size;
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  uint64_t size_ = 0;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(disk::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return status_of(disk_.sync_directory(path_)); }

 private:
  disk::Disk& disk_;
  std::string path_;
};

class FileLock final : public rocksdb::FileLock {
 public:
  explicit FileLock(std::unique_ptr<disk::DirectoryLock> lock) : lock_(std::move(lock)) {}

 private:
  std::unique_ptr<disk::DirectoryLock> lock_;
};

class DiskFileSystem final : public rocksdb::FileSystem {
 public:
  DiskFileSystem(disk::Disk& disk, Room& room) : disk_(disk), room_(room) {}
  const char* Name() const override { return "hailstone-disk"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result, IODebugContext*) override {
    auto file = disk_.open(path, disk::OpenMode::Read);
    if (file) *result = std::make_unique<SequentialFile>(std::move(*file));
    return status_of(file);
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result, IODebugContext*) override {
    auto file = disk_.open(path, disk::OpenMode::Read);
    if (file) *result = std::make_unique<RandomAccessFile>(std::move(*file));
    return status_of(file);
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) override {
    if (path.ends_with(".log")) {
      *result = std::make_unique<NoLogFile>();
      return IOStatus::OK();
    }
    return status_of(room_.persist([&] { return open_writable(path, Existing::Empty, result); }));
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) override {
    return status_of(room_.persist([&] { return open_writable(path, Existing::Extend, result); }));
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext*) override {
    const auto directory = disk_.is_directory(path);
    if (!directory) return status_of(directory);
    if (!*directory) return IOStatus::PathNotFound(path + ": no such directory");
    *result = std::make_unique<Directory>(disk_, path);
    return IOStatus::OK();
  }

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    const auto exists = disk_.exists(path);
    if (!exists) return status_of(exists);
    return *exists ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    return deliver(disk_.list(path), result);
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return status_of(disk_.remove(path));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    const auto exists = disk_.exists(path);
    if (exists && *exists) return IOStatus::IOError(path + ": exists");
    return status_of(disk_.make_directories(path));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return status_of(disk_.make_directories(path));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return status_of(disk_.remove_directory(path));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* result, IODebugContext*) override {
    return deliver(disk_.file_size(path), result);
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t*, IODebugContext*) override {
    return IOStatus::NotSupported("modification times");
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    // RocksDB renames CURRENT to name a manifest it has just created, and syncs the directory after both: where names
    // keep no order, the pointer could survive without what it points to.
    return status_of(room_.persist([&]() -> Result<void> {
      TRY_DO(disk_.sync_directory(disk::parent_directory(to)));
      return disk_.rename(from, to);
    }));
  }
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** result, IODebugContext*) override {
    auto lock = disk_.lock(path);
    *result = lock ? new FileLock(std::move(*lock)) : nullptr;  // RocksDB's interface owns it until UnlockFile
    return status_of(lock);
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete static_cast<FileLock*>(lock);
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported("test directory");
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result, IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* result, IODebugContext*) override {
    return deliver(disk_.is_directory(path), result);
  }
  IOStatus GetFreeSpace(const std::string& path, const IOOptions&, uint64_t* result, IODebugContext*) override {
    return deliver(disk_.free_bytes(path), result);
  }

 private:
  enum class Existing : uint8_t { Empty, Extend };

  Result<void> open_writable(const std::string& path, Existing existing,
                             std::unique_ptr<rocksdb::FSWritableFile>* result) {
    TRY(auto file, disk_.open(path, disk::OpenMode::Create));
    TRY(uint64_t size, file->size());
    if (existing == Existing::Empty && size > 0) {
      TRY_DO(file->truncate(0));
      size = 0;
    }
    *result = std::make_unique<WritableFile>(std::move(file), size, room_);
    return {};
  }

  disk::Disk& disk_;
  Room& room_;
};

/// RocksDB's flush thread sleeps a second after a failure, and closing waits for it.
class ShortSleepClock final : public rocksdb::SystemClockWrapper {
 public:
  using SystemClockWrapper::SystemClockWrapper;
  const char* Name() const override { return "hailstone-clock"; }
  void SleepForMicroseconds(int micros) override { target_->SleepForMicroseconds(std::min(micros, kSleepMaxMicros)); }

 private:
  static constexpr int kSleepMaxMicros = 10'000;
};

class DiskEnv final : public rocksdb::EnvWrapper {
 public:
  DiskEnv(disk::Disk& disk, Room& room)
      : EnvWrapper(rocksdb::NewCompositeEnv(std::make_shared<DiskFileSystem>(disk, room))) {
    system_clock_ = std::make_shared<ShortSleepClock>(system_clock_);
  }
  const char* Name() const override { return "hailstone-env"; }
};

}  // namespace

void Room::close() {
  {
    const std::lock_guard hold(mutex_);
    waits_ = false;
  }
  closed_.notify_all();
}

bool Room::pause() {
  constexpr auto kRetryInterval = std::chrono::milliseconds(20);
  std::unique_lock hold(mutex_);
  return !closed_.wait_for(hold, kRetryInterval, [&] { return !waits_; });
}

std::unique_ptr<rocksdb::Env> make_rocks_env(disk::Disk& disk, Room& room) {
  return std::make_unique<DiskEnv>(disk, room);
}

Error error_of(const rocksdb::Status& status) {
  Code code = Code::Io;
  if (status.IsNoSpace())
    code = Code::Exhausted;
  else if (status.IsCorruption())
    code = Code::Corrupt;
  else if (status.IsNotFound() || status.IsPathNotFound())
    code = Code::NotFound;
  else if (status.IsBusy())
    code = Code::Unavailable;
  return Error{code, "rocksdb: " + status.ToString()};
}

}  // namespace hailstone::replica
