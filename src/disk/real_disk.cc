#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "disk/disk.h"

namespace hailstone::disk {
namespace {

Code code_of(int number) {
  switch (number) {
    case ENOENT: return Code::NotFound;
    case EEXIST: return Code::Exists;
    case ENOTEMPTY: return Code::Conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE: return Code::Exhausted;
    case EACCES:
    case EPERM:
    case EROFS: return Code::Denied;
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case EINVAL: return Code::Invalid;
    default: return Code::Io;
  }
}

std::unexpected<Error> refuse(std::string_view action, const std::string& path, int number) {
  return fail(code_of(number), fmt::format("{} {}: {}", action, path, std::generic_category().message(number)));
}

/// Repeats a system call that a signal cut short.
template <class Call>
auto uninterrupted(Call call) {
  decltype(call()) out;
  do out = call();
  while (out < 0 && errno == EINTR);
  return out;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_;
};

int open_descriptor(const std::string& path, int flags) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); });
}

class RealFile final : public File {
 public:
  RealFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = uninterrupted([&] {
        return ::pread(descriptor_.number(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return refuse(fmt::format("read at {} of", offset + done), path_, errno);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<void> write_at(uint64_t offset, ByteView data) override {
    TRY_DO(trusted());
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t put = uninterrupted([&] {
        return ::pwrite(descriptor_.number(), data.data() + done, data.size() - done,
                        static_cast<off_t>(offset + done));
      });
      if (put < 0) return refuse(fmt::format("write at {} of", offset + done), path_, errno);
      done += static_cast<size_t>(put);
    }
    return {};
  }

  void start_writeback(uint64_t offset, uint64_t bytes) override {
    // No promise comes of it, so no error does: fdatasync reports those.
    (void)::sync_file_range(descriptor_.number(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                            SYNC_FILE_RANGE_WRITE);
  }

  Result<void> sync() override {
    TRY_DO(trusted());
    if (uninterrupted([&] { return ::fdatasync(descriptor_.number()); }) == 0) return {};
    // The kernel may have marked the lost pages clean: a second fdatasync would lie, so there is none.
    suspect_ = true;
    return fail(Code::Io, fmt::format("sync {}: {}", path_, std::generic_category().message(errno)));
  }

  Result<void> truncate(uint64_t size) override {
    TRY_DO(trusted());
    if (uninterrupted([&] { return ::ftruncate(descriptor_.number(), static_cast<off_t>(size)); }) == 0) return {};
    return refuse("truncate", path_, errno);
  }

  Result<uint64_t> size() const override {
    struct stat info;
    if (::fstat(descriptor_.number(), &info) != 0) return refuse("stat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

  int native_handle() const override { return descriptor_.number(); }

 private:
  Result<void> trusted() const {
    if (!suspect_) return {};
    return fail(Code::Io, fmt::format("{}: an earlier sync failed", path_));
  }

  Descriptor descriptor_;
  std::string path_;
  std::atomic<bool> suspect_ = false;
};

class FlockLock final : public DirectoryLock {
 public:
  explicit FlockLock(int descriptor) : descriptor_(descriptor) {}

 private:
  Descriptor descriptor_;  // closing it releases the lock
};

class RealDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_RDONLY;
    switch (mode) {
      case OpenMode::Read: break;
      case OpenMode::Write: flags = O_RDWR; break;
      case OpenMode::Create: flags = O_RDWR | O_CREAT; break;
      case OpenMode::CreateNew: flags = O_RDWR | O_CREAT | O_EXCL; break;
    }
    const int descriptor = open_descriptor(path, flags);
    if (descriptor < 0) return refuse("open", path, errno);
    return std::make_unique<RealFile>(descriptor, path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return refuse("rename", from + " to " + to, errno);
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return refuse("remove", path, errno);
    return {};
  }

  Result<void> make_directories(const std::string& path) override {
    if (path.size() > 1 && path.back() == '/') return make_directories(path.substr(0, path.size() - 1));
    const std::string parent = parent_directory(path);
    int made = ::mkdir(path.c_str(), 0755);
    if (made != 0 && errno == ENOENT && parent != path) {
      TRY_DO(make_directories(parent));
      made = ::mkdir(path.c_str(), 0755);
    }
    if (made == 0) return sync_directory(parent);
    const int number = errno;
    TRY(const bool directory, is_directory(path));
    if (!directory) return refuse("make directory", path, number);
    // A process that died between mkdir and sync may have left it; what we may not open is not ours to have made.
    auto synced = sync_directory(parent);
    if (!synced && synced.error().code != Code::Denied) return synced;
    return {};
  }

  Result<void> remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return refuse("remove directory", path, errno);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) const override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return refuse("list", path, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int number = errno;
    ::closedir(directory);
    if (number != 0) return refuse("list", path, number);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> exists(const std::string& path) const override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return refuse("stat", path, errno);
  }

  Result<bool> is_directory(const std::string& path) const override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return refuse("stat", path, errno);
  }

  Result<uint64_t> file_size(const std::string& path) const override {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return refuse("stat", path, errno);
    return static_cast<uint64_t>(info.st_size);
  }

  Result<void> sync_directory(const std::string& path) override {
    const Descriptor directory(open_descriptor(path, O_RDONLY | O_DIRECTORY));
    if (!directory.valid()) return refuse("open directory", path, errno);
    if (uninterrupted([&] { return ::fsync(directory.number()); }) == 0) return {};
    return fail(Code::Io, fmt::format("sync directory {}: {}", path, std::generic_category().message(errno)));
  }

  Result<uint64_t> free_bytes(const std::string& path) const override {
    struct statvfs info;
    if (uninterrupted([&] { return ::statvfs(path.c_str(), &info); }) != 0) return refuse("statvfs", path, errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path) override {
    int descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) descriptor = open_descriptor(path, O_RDWR | O_CREAT);
    if (descriptor < 0) return refuse("open for locking", path, errno);
    auto held = std::make_unique<FlockLock>(descriptor);
    if (uninterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) == 0) return held;
    if (errno == EWOULDBLOCK) return fail(Code::Unavailable, fmt::format("{} is locked by another process", path));
    return refuse("lock", path, errno);
  }
};

}  // namespace

std::unique_ptr<Disk> make_real_disk() { return std::make_unique<RealDisk>(); }

}  // namespace hailstone::disk
