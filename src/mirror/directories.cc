#include "mirror/directories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace hailstone::mirror {
namespace {

// `inner` is `outer` or lies beneath it.
bool is_beneath(ByteView inner, ByteView outer) {
  return inner.starts_with(outer) && (inner.size() == outer.size() || inner[outer.size()] == '/');
}

}  // namespace

SplitPath split_path(ByteView path) {
  const size_t slash = path.rfind('/');
  if (slash == ByteView::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Result<Directories> Directories::open(const std::string& root) {
  Directories out;
  out.root_ = Fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!out.root_) return system_fail(errno, "open directory", root);
  return out;
}

Result<int> Directories::enter(ByteView path, Absent absent) {
  while (!levels_.empty() && !is_beneath(path, ByteView(path_).substr(0, levels_.back().path_bytes)))
    levels_.pop_back();
  size_t at = levels_.empty() ? 0 : levels_.back().path_bytes;
  path_.resize(at);
  while (at < path.size()) {
    if (at > 0) ++at;  // the '/'
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string name(path.substr(at, end - at));
    const int parent = levels_.empty() ? root_.get() : levels_.back().fd.get();
    Fd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno == ENOENT && absent == Absent::Create) {
      if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST)
        return system_fail(errno, "create directory", path.substr(0, end));
      fd = Fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!fd) return system_fail(errno, "open directory", path.substr(0, end));
    path_.assign(path.substr(0, end));
    levels_.push_back({end, std::move(fd)});
    at = end;
  }
  return levels_.empty() ? root_.get() : levels_.back().fd.get();
}

}  // namespace hailstone::mirror
