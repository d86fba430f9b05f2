#include "mirror/posix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hailstone::mirror {
namespace {

constexpr ByteView kAclAccess = "system.posix_acl_access";
constexpr ByteView kAclDefault = "system.posix_acl_default";
constexpr size_t kXattrBytesMax = 64u << 10;  // XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h

bool is_acl(ByteView name) { return name == kAclAccess || name == kAclDefault; }

// The *xattr calls come per descriptor and per path; these take either.
struct XattrTarget {
  int fd = -1;
  std::string path;  // used when fd is -1; its last component is not followed

  ssize_t list(char* out, size_t size) const {
    return fd >= 0 ? ::flistxattr(fd, out, size) : ::llistxattr(path.c_str(), out, size);
  }
  ssize_t get(const char* name, char* out, size_t size) const {
    return fd >= 0 ? ::fgetxattr(fd, name, out, size) : ::lgetxattr(path.c_str(), name, out, size);
  }
  int set(const char* name, ByteView value) const {
    return fd >= 0 ? ::fsetxattr(fd, name, value.data(), value.size(), 0)
                   : ::lsetxattr(path.c_str(), name, value.data(), value.size(), 0);
  }
};

// There is no getxattrat before Linux 6.13; the magic link of the directory leads to the same inode without a race.
XattrTarget target_at(int directory, const std::string& name) {
  return {-1, fmt::format("/proc/self/fd/{}/{}", directory, name)};
}

Result<Xattrs> read_from(const XattrTarget& target, ByteView path) {
  std::array<char, 1024> small;
  Bytes large;
  ssize_t length = target.list(small.data(), small.size());
  const char* names = small.data();
  if (length < 0 && errno == ERANGE) {
    large.resize(kXattrBytesMax);
    length = target.list(large.data(), large.size());
    names = large.data();
  }
  if (length < 0) {
    if (errno == ENOTSUP || errno == ENOSYS) return Xattrs{};
    return system_fail(errno, "list attributes of", path);
  }
  Xattrs out;
  for (const char* at = names; at < names + length;) {
    const ByteView name(at);
    at += name.size() + 1;
    if (!is_kept_xattr(name)) continue;
    Bytes value(kXattrBytesMax, '\0');
    const ssize_t size = target.get(name.data(), value.data(), value.size());
    if (size < 0) {
      if (errno == ENODATA || errno == ENOTSUP) continue;
      return system_fail(errno, fmt::format("read attribute {} of", printable(name)), path);
    }
    value.resize(static_cast<size_t>(size));
    value.shrink_to_fit();
    out.emplace_back(Bytes(name), std::move(value));
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool refused(int error_number) {
  return error_number == ENOTSUP || error_number == EPERM || error_number == EACCES || error_number == EINVAL ||
         error_number == ENOSYS;
}

Result<void> set_xattrs(const XattrTarget& target, const Xattrs& xattrs, bool acls, ByteView path, Warnings& warnings) {
  for (const auto& [name, value] : xattrs) {
    if (is_acl(name) != acls || !is_kept_xattr(name)) continue;
    if (target.set(name.c_str(), value) == 0) continue;
    if (!refused(errno)) return system_fail(errno, fmt::format("set attribute {} of", printable(name)), path);
    warnings.add(
        fmt::format("{}: attribute {} not restored: {}", printable(path), printable(name), strerrordesc_np(errno)));
  }
  return {};
}

}  // namespace

bool is_kept_xattr(ByteView name) {
  return name.starts_with("user.") || name.starts_with("trusted.") || name == "security.capability" || is_acl(name);
}

Result<Xattrs> read_xattrs(int fd, ByteView path) { return read_from({fd, {}}, path); }

Result<Xattrs> read_xattrs_at(int directory, const std::string& name, ByteView path) {
  return read_from(target_at(directory, name), path);
}

std::optional<volume::Kind> kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return volume::Kind::File;
    case S_IFLNK: return volume::Kind::Symlink;
    case S_IFDIR: return volume::Kind::Directory;
    case S_IFIFO: return volume::Kind::Fifo;
    case S_IFCHR: return volume::Kind::CharDevice;
    case S_IFBLK: return volume::Kind::BlockDevice;
    default: return std::nullopt;
  }
}

int64_t modified_ns(const struct stat& st) { return int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec; }
int64_t changed_ns(const struct stat& st) { return int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec; }

volume::Posix posix_of(const struct stat& st) {
  volume::Posix posix;
  posix.mode = st.st_mode & 07777;
  posix.uid = st.st_uid;
  posix.gid = st.st_gid;
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) posix.device = st.st_rdev;
  return posix;
}

void Warnings::add(std::string text) {
  if (texts_.size() < kTextsMax) texts_.push_back(std::move(text));
  ++total_;
}

void Warnings::append(const Warnings& others) {
  for (const std::string& text : others.texts_) add(text);
  total_ += others.total_ - others.texts_.size();
}

Result<void> apply_metadata(int directory, const std::string& name, int fd, const volume::Entry& entry, Owners owners,
                            ByteView path, Warnings& warnings) {
  const XattrTarget target = fd >= 0 ? XattrTarget{fd, {}} : target_at(directory, name);
  const bool is_link = entry.kind == volume::Kind::Symlink;
  // What another tool wrote (S3, the API) has no POSIX metadata: an ordinary readable file.
  const bool is_directory = entry.kind == volume::Kind::Directory;
  const uint32_t mode = entry.posix ? entry.posix->mode : (is_directory ? 0755u : 0644u);
  if (entry.posix) {
    if (owners == Owners::Restore) {
      const auto [uid, gid] = std::pair(entry.posix->uid, entry.posix->gid);
      const int failed =
          fd >= 0 ? ::fchown(fd, uid, gid) : ::fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW);
      if (failed != 0) return system_fail(errno, fmt::format("set owner {}:{} of", uid, gid), path);
    }
    TRY_DO(set_xattrs(target, entry.posix->xattrs, false, path, warnings));
  }
  if (!is_link) {
    // Names here were made by us in a directory of ours, with O_EXCL: fchmodat, which follows links, has none to
    // follow.
    if ((fd >= 0 ? ::fchmod(fd, mode) : ::fchmodat(directory, name.c_str(), mode, 0)) != 0)
      return system_fail(errno, fmt::format("set mode {:o} of", mode), path);
  }
  if (entry.posix) TRY_DO(set_xattrs(target, entry.posix->xattrs, true, path, warnings));
  const int64_t seconds = entry.modified_ns >= 0 ? entry.modified_ns / 1'000'000'000
                                                 : -((-entry.modified_ns + 999'999'999) / 1'000'000'000);
  const timespec modified{seconds, entry.modified_ns - seconds * 1'000'000'000};
  const timespec times[2] = {modified, modified};
  // Through the descriptor where there is one: the new mode may forbid the caller to look the name up.
  const int failed = fd >= 0 ? ::futimens(fd, times) : ::utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  if (failed != 0) return system_fail(errno, "set times of", path);
  return {};
}

}  // namespace hailstone::mirror
