#include "mirror/restore_layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <memory>

namespace hailstone::mirror {
namespace {

constexpr std::string_view kMark = ".hailstone-";

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

// "NAME.hailstone-000042" -> 42.
std::optional<uint64_t> tree_number(std::string_view entry, std::string_view name) {
  if (!entry.starts_with(name)) return std::nullopt;
  entry.remove_prefix(name.size());
  if (!entry.starts_with(kMark)) return std::nullopt;
  entry.remove_prefix(kMark.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), number);
  if (error != std::errc() || end != entry.data() + entry.size() || number == 0) return std::nullopt;
  return number;
}

Result<void> read_current(RestoreLayout& layout, Place place) {
  struct stat st{};
  if (::lstat(layout.directory.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return system_fail(errno, "stat", layout.directory);
  }
  if (place == Place::InPlace) {
    if (S_ISDIR(st.st_mode)) return {};
    return fail(Code::Invalid,
                fmt::format("{} is not a real directory: without --in-place an export keeps whole trees beside "
                            "it and makes it a symlink",
                            layout.directory));
  }
  if (S_ISDIR(st.st_mode))
    return fail(Code::Invalid,
                fmt::format("{} is a real directory, which can't be replaced in one step: move it away, export "
                            "to another name, or use --in-place",
                            layout.directory));
  if (!S_ISLNK(st.st_mode))
    return fail(Code::Invalid, fmt::format("{} is there and is not a directory", layout.directory));
  Bytes target(PATH_MAX, '\0');
  const ssize_t n = ::readlink(layout.directory.c_str(), target.data(), target.size());
  if (n < 0) return system_fail(errno, "read link", layout.directory);
  target.resize(static_cast<size_t>(n));
  layout.current = tree_number(target, layout.name);
  if (!layout.current)
    return fail(Code::Invalid,
                fmt::format("{} is a symlink to {}, which no export made: remove it or export to another name",
                            layout.directory, printable(target)));
  return {};
}

Result<void> list_trees(RestoreLayout& layout) {
  const Directory directory(::opendir(layout.parent.c_str()), ::closedir);
  if (!directory) return system_fail(errno, "open directory", layout.parent);
  while (const dirent* entry = ::readdir(directory.get()))
    if (const auto number = tree_number(entry->d_name, layout.name)) layout.trees.push_back(*number);
  std::sort(layout.trees.begin(), layout.trees.end());
  if (!layout.trees.empty()) layout.next = layout.trees.back() + 1;
  return {};
}

// Depth is bounded by the key length, as the tree was ours.
Result<void> remove_entries(int parent, const char* name, const std::string& path) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return system_fail(errno, "open directory", path);
  if (::fchmod(fd, 0700) != 0) {
    const int error_number = errno;
    ::close(fd);
    return system_fail(error_number, "unlock directory", path);
  }
  const Directory directory(::fdopendir(fd), ::closedir);
  if (!directory) {
    ::close(fd);
    return system_fail(ENOMEM, "read directory", path);
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view child(entry->d_name);
    if (child == "." || child == "..") continue;
    if (::unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return system_fail(errno, "remove", path + "/" + entry->d_name);
    TRY_DO(remove_entries(fd, entry->d_name, path + "/" + entry->d_name));
    if (::unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0)
      return system_fail(errno, "remove", path + "/" + entry->d_name);
  }
  return {};
}

}  // namespace

std::string RestoreLayout::tree_name(uint64_t number) const { return fmt::format("{}{}{:06}", name, kMark, number); }
std::string RestoreLayout::tree_path(uint64_t number) const { return parent + "/" + tree_name(number); }
std::string RestoreLayout::manifest_path(uint64_t number) const { return tree_path(number) + ".manifest"; }
std::string RestoreLayout::in_place_manifest_path() const {
  return fmt::format("{}/{}{}manifest", parent, name, kMark);
}
std::string RestoreLayout::flip_path() const { return fmt::format("{}/{}{}flip", parent, name, kMark); }

Result<RestoreLayout> open_layout(const std::string& directory, Place place) {
  RestoreLayout layout;
  layout.directory = directory;
  while (layout.directory.size() > 1 && layout.directory.ends_with('/')) layout.directory.pop_back();
  const size_t slash = layout.directory.rfind('/');
  layout.parent = slash == std::string::npos ? "." : slash == 0 ? "/" : layout.directory.substr(0, slash);
  layout.name = slash == std::string::npos ? layout.directory : layout.directory.substr(slash + 1);
  if (layout.name.empty() || layout.name == "." || layout.name == "..")
    return fail(Code::Invalid, fmt::format("can't export to '{}': name the directory itself", directory));
  const std::string lock_path = fmt::format("{}/{}{}lock", layout.parent, layout.name, kMark);
  layout.lock = Fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!layout.lock) return system_fail(errno, "open", lock_path);
  if (::flock(layout.lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Code::Unavailable,
                fmt::format("another export to {} is running (it holds {})", layout.directory, lock_path));
  TRY_DO(read_current(layout, place));
  TRY_DO(list_trees(layout));
  return layout;
}

Result<void> remove_tree(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return system_fail(errno, "stat", path);
  }
  if (!S_ISDIR(st.st_mode)) return fail(Code::Invalid, fmt::format("remove {}: not a directory", path));
  TRY_DO(remove_entries(AT_FDCWD, path.c_str(), path));
  if (::rmdir(path.c_str()) != 0) return system_fail(errno, "remove", path);
  return {};
}

}  // namespace hailstone::mirror
