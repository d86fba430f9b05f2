#include "mirror/tree_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "mirror/restore_paths.h"

namespace hailstone::mirror {
namespace {

constexpr size_t kBlockBytes = 4096;  // unit of holes: the page size, and the block size of nearly every file system
constexpr size_t kCopyBytes = 256u << 10;

bool all_zero(ByteView bytes) { return bytes.find_first_not_of('\0') == ByteView::npos; }

// Writes `bytes`, leaving whole zero blocks out.
int write_sparse(int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const size_t to_boundary = kBlockBytes - offset % kBlockBytes;
    const ByteView part = bytes.substr(0, to_boundary);
    if (part.size() < kBlockBytes || !all_zero(part))
      if (const int error_number = write_all(fd, part, offset)) return error_number;
    offset += part.size();
    bytes.remove_prefix(part.size());
  }
  return 0;
}

}  // namespace

struct TreeWriter::Writing {
  Bytes path;
  const volume::Entry* entry;
  int parent;  // stays open as long as no other directory is entered
  Fd fd;
  uint64_t offset = 0;
  Hasher hasher{Hasher::Kind::Sha256};
};

TreeWriter::TreeWriter(Directories directories, Place place, Owners owners)
    : directories_(std::move(directories)), place_(place), owners_(owners) {}

TreeWriter::~TreeWriter() { abandon_file(); }

Result<std::unique_ptr<TreeWriter>> TreeWriter::open(const std::string& root, Place place, Owners owners) {
  TRY(Directories directories, Directories::open(root));
  return std::unique_ptr<TreeWriter>(new TreeWriter(std::move(directories), place, owners));
}

Result<void> TreeWriter::directory(ByteView path, const volume::Entry* entry) {
  for (size_t slash = path.find('/'); slash != ByteView::npos; slash = path.find('/', slash + 1))
    made_directories_.try_emplace(Bytes(path.substr(0, slash)), nullptr);
  made_directories_.insert_or_assign(Bytes(path), entry);
  TRY_DO(directories_.enter(path, Directories::Absent::Create));
  return {};
}

Result<int> TreeWriter::parent_of(ByteView path) {
  const ByteView parent = split_path(path).directory;
  if (!parent.empty() && !made_directories_.contains(parent)) TRY_DO(directory(parent, nullptr));
  return directories_.enter(parent, Directories::Absent::Create);
}

std::string TreeWriter::new_name(ByteView path) const {
  return std::string(place_ == Place::InPlace ? kTemporaryName : split_path(path).name);
}

// In place: the finished temporary replaces what is there.
Result<void> TreeWriter::into_place(int parent, ByteView path) {
  if (place_ == Place::NewTree) return {};
  const std::string from(kTemporaryName), to(split_path(path).name);
  if (::renameat(parent, from.c_str(), parent, to.c_str()) == 0) {
    // Two names of one inode: rename does nothing and leaves both.
    ::unlinkat(parent, from.c_str(), 0);
    return {};
  }
  if (errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY) {
    if (::unlinkat(parent, to.c_str(), AT_REMOVEDIR) == 0 && ::renameat(parent, from.c_str(), parent, to.c_str()) == 0)
      return {};
  }
  const int error_number = errno;
  ::unlinkat(parent, from.c_str(), 0);
  return system_fail(error_number, "replace", path);
}

Result<void> TreeWriter::made(int parent, ByteView path, const volume::Entry& entry) {
  TRY_DO(apply_metadata(parent, new_name(path), -1, entry, owners_, path, warnings_));
  return into_place(parent, path);
}

Result<void> TreeWriter::begin_file(ByteView path, const volume::Entry& entry) {
  CHECK(!writing_);
  TRY(const int parent, parent_of(path));
  const std::string name = new_name(path);
  if (place_ == Place::InPlace) ::unlinkat(parent, name.c_str(), 0);  // of an export that crashed
  Fd fd(::openat(parent, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return system_fail(errno, "create", path);
  writing_ = std::make_unique<Writing>(Writing{Bytes(path), &entry, parent, std::move(fd)});
  return {};
}

Result<void> TreeWriter::write(ByteView bytes) {
  CHECK(writing_);
  Writing& file = *writing_;
  if (bytes.size() > file.entry->content.bytes - file.offset)
    return fail(Code::Corrupt,
                fmt::format("{}: longer than its {} bytes", printable(file.path), file.entry->content.bytes));
  file.hasher.update(bytes);
  const bool sparse = file.entry->posix && file.entry->posix->sparse;
  const int error_number =
      sparse ? write_sparse(file.fd.get(), bytes, file.offset) : write_all(file.fd.get(), bytes, file.offset);
  if (error_number != 0) return system_fail(error_number, "write", file.path);
  file.offset += bytes.size();
  return {};
}

Result<void> TreeWriter::finish_file() {
  CHECK(writing_);
  Writing& file = *writing_;
  const volume::Entry& entry = *file.entry;
  const Hash256 got = Hash256::from_view(file.hasher.finish());
  Result<void> result;
  if (file.offset != entry.content.bytes || got != entry.content.sha256) {
    result =
        fail(Code::Corrupt, fmt::format("{}: {} bytes with SHA-256 {} arrived, wanted {} with {}", printable(file.path),
                                        file.offset, got.brief(), entry.content.bytes, entry.content.sha256.brief()));
  } else if (entry.posix && entry.posix->sparse && ::ftruncate(file.fd.get(), static_cast<off_t>(file.offset)) != 0) {
    result = system_fail(errno, "extend", file.path);
  } else {
    result = apply_metadata(file.parent, new_name(file.path), file.fd.get(), entry, owners_, file.path, warnings_);
  }
  if (!result) {
    abandon_file();
    return result;
  }
  const std::unique_ptr<Writing> done = std::move(writing_);
  return into_place(done->parent, done->path);
}

void TreeWriter::abandon_file() {
  if (!writing_) return;
  ::unlinkat(writing_->parent, new_name(writing_->path).c_str(), 0);
  writing_.reset();
}

Result<void> TreeWriter::symlink(ByteView path, const volume::Entry& entry, ByteView target) {
  TRY(const int parent, parent_of(path));
  const std::string name = new_name(path);
  if (target.empty() || target.find('\0') != ByteView::npos)
    return fail(Code::Invalid, fmt::format("{}: a symlink to '{}' can't be made", printable(path), printable(target)));
  if (place_ == Place::InPlace) ::unlinkat(parent, name.c_str(), 0);
  if (::symlinkat(std::string(target).c_str(), parent, name.c_str()) != 0)
    return system_fail(errno, "create symlink", path);
  return made(parent, path, entry);
}

Result<void> TreeWriter::node(ByteView path, const volume::Entry& entry) {
  TRY(const int parent, parent_of(path));
  const std::string name = new_name(path);
  const mode_t type = entry.kind == volume::Kind::Fifo         ? S_IFIFO
                      : entry.kind == volume::Kind::CharDevice ? S_IFCHR
                                                               : S_IFBLK;
  if (place_ == Place::InPlace) ::unlinkat(parent, name.c_str(), 0);
  if (::mknodat(parent, name.c_str(), type | 0600, entry.posix ? entry.posix->device : 0) != 0) {
    if (errno != EPERM && errno != ENOTSUP) return system_fail(errno, "create", path);
    warnings_.add(fmt::format("{}: not created: {} (devices need root)", printable(path), strerrordesc_np(errno)));
    return {};
  }
  return made(parent, path, entry);
}

Result<void> TreeWriter::hard_link(ByteView path, ByteView existing) {
  const auto [from_directory, from_name] = split_path(existing);
  TRY(const int from, directories_.enter(from_directory));
  const Fd kept(::fcntl(from, F_DUPFD_CLOEXEC, 0));  // entering the other directory may close it
  if (!kept) return system_fail(errno, "open directory of", existing);
  TRY(const int parent, parent_of(path));
  const std::string name = new_name(path);
  if (place_ == Place::InPlace) ::unlinkat(parent, name.c_str(), 0);
  if (::linkat(kept.get(), std::string(from_name).c_str(), parent, name.c_str(), 0) != 0)
    return system_fail(errno, fmt::format("link {} to", printable(existing)), path);
  return into_place(parent, path);
}

Result<bool> TreeWriter::take_from(Directories& other, ByteView path, const volume::Entry& entry, Reuse reuse,
                                   Shares shares) {
  const auto [directory, base] = split_path(path);
  const std::string name(base);
  auto from = other.enter(directory);
  if (!from) return false;
  if (reuse == Reuse::HardLink && shares == Shares::Inode) {
    TRY(const int parent, parent_of(path));
    if (::linkat(*from, name.c_str(), parent, name.c_str(), 0) == 0) return true;
    if (errno != EMLINK && errno != EXDEV && errno != EPERM && errno != ENOENT) return system_fail(errno, "link", path);
  }
  const Fd source(::openat(*from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!source) return false;
  TRY_DO(begin_file(path, entry));
  if (reuse != Reuse::Copy && ::ioctl(writing_->fd.get(), FICLONE, source.get()) == 0) {
    // Shared blocks are not rewritten and so not hashed again: the previous export verified them.
    const std::unique_ptr<Writing> done = std::move(writing_);
    TRY_DO(apply_metadata(done->parent, new_name(path), done->fd.get(), entry, owners_, path, warnings_));
    TRY_DO(into_place(done->parent, path));
    return true;
  }
  Bytes buffer(kCopyBytes, '\0');
  while (true) {
    const ssize_t n = ::read(source.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (auto written = write(ByteView(buffer).substr(0, static_cast<size_t>(n))); !written) {
      abandon_file();
      if (written.error().code != Code::Corrupt) return std::unexpected(written.error());
      return false;
    }
  }
  auto finished = finish_file();
  if (!finished && finished.error().code == Code::Corrupt) return false;  // touched since: fetch it
  if (!finished) return std::unexpected(finished.error());
  return true;
}

Result<void> TreeWriter::metadata(ByteView path, const volume::Entry& entry) {
  const auto [directory, base] = split_path(path);
  TRY(const int parent, directories_.enter(directory));
  const std::string name(base);
  const Fd fd(::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return system_fail(errno, "open", path);
  return apply_metadata(parent, name, fd.get(), entry, owners_, path, warnings_);
}

Result<void> TreeWriter::remove(ByteView path) {
  const auto [directory, base] = split_path(path);
  auto parent = directories_.enter(directory);
  if (!parent) {
    if (parent.error().code == Code::NotFound || parent.error().code == Code::Invalid) return {};
    return std::unexpected(parent.error());
  }
  const std::string name(base);
  if (::unlinkat(*parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return system_fail(errno, "remove", path);
  if (::unlinkat(*parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) return {};
  return system_fail(errno, "remove", path);
}

Result<void> TreeWriter::finish_directories() {
  static const volume::Entry kImplied = [] {
    volume::Entry entry;
    entry.kind = volume::Kind::Directory;
    return entry;
  }();
  made_directories_.try_emplace(Bytes(), nullptr);
  // Reverse key order visits every directory after all that lie in it.
  for (auto at = made_directories_.rbegin(); at != made_directories_.rend(); ++at) {
    const auto& [path, entry] = *at;
    TRY(const int fd, directories_.enter(path));
    if (entry != nullptr && entry->kind == volume::Kind::Directory) {
      TRY_DO(apply_metadata(fd, ".", fd, *entry, owners_, path.empty() ? "./" : path, warnings_));
    } else if (place_ == Place::NewTree && ::fchmod(fd, 0755) != 0) {
      return system_fail(errno, "set mode of", path);
    }
  }
  return {};
}

Result<void> TreeWriter::sync() {
  if (::syncfs(directories_.root()) != 0) return system_fail(errno, "sync file system of", "the exported tree");
  return {};
}

std::optional<TreeWriter::FileStat> TreeWriter::stat_file(Directories& directories, ByteView path) {
  const auto [directory, base] = split_path(path);
  const auto parent = directories.enter(directory);
  struct stat st{};
  if (!parent || ::fstatat(*parent, std::string(base).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
    return std::nullopt;
  return FileStat{static_cast<uint64_t>(st.st_size), mirror::modified_ns(st)};
}

}  // namespace hailstone::mirror
