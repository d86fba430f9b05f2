#include "mirror/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <memory>
#include <unordered_map>

namespace hailstone::mirror {
namespace {

constexpr size_t kBadKeysListed = 10;

struct InodeId {
  uint64_t device, inode;
  bool operator==(const InodeId&) const = default;
};
struct InodeHash {
  size_t operator()(const InodeId& id) const { return id.inode * 0x9e3779b97f4a7c15u ^ id.device; }
};

struct Name {
  std::string name;  // with a '/' at the end for directories, so that sorting gives key order
  struct stat st;
  bool root = false;  // stands for the scanned directory itself
};

// A directory being read: its names in key order and how far we are.
struct Level {
  Fd fd;
  size_t key_bytes = 0;  // of the current key, up to and including this directory's '/'
  std::vector<Name> names;
  size_t next = 0;
};

class Scanner {
 public:
  Scanner(const ScanOptions& options, Scan& out) : options_(options), out_(out) {}
  Result<void> run(const std::string& root);

 private:
  Result<void> list(Level& level);
  Result<void> visit(const Name& name);
  void add(const Name& name, volume::Kind kind);
  bool measure_holes(int directory, const char* name, const struct stat& st);
  bool read_target(int directory, const Name& name, Bytes& target);
  void enter(Level& parent, const Name& name);
  ByteView path() const { return path_of(key_, options_.prefix); }

  const ScanOptions& options_;
  Scan& out_;
  Bytes key_;
  std::vector<Level> levels_;
  std::unordered_map<InodeId, size_t, InodeHash> first_links_;  // -> item, of inodes with more than one name
  std::vector<std::string> bad_keys_;
  uint64_t bad_keys_total_ = 0;
};

// Names first, then stats in inode order: on a cold ext4 or XFS that reads the inode tables once, front to back.
Result<void> Scanner::list(Level& level) {
  const int copy = ::fcntl(level.fd.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return system_fail(errno, "duplicate descriptor of", path());
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(copy), ::closedir);
  if (!directory) {
    const int error_number = errno;
    ::close(copy);
    return system_fail(error_number, "read directory", path());
  }
  std::vector<std::pair<uint64_t, std::string>> found;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) return system_fail(errno, "read directory", path());
      break;
    }
    const ByteView name(entry->d_name);
    if (name != "." && name != "..") found.emplace_back(entry->d_ino, name);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  level.names.reserve(found.size() + 1);
  for (auto& [inode, name] : found) {
    Name out{std::move(name), {}};
    if (::fstatat(level.fd.get(), out.name.c_str(), &out.st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return system_fail(errno, fmt::format("stat {} in", printable(out.name)), path());
    }
    if (S_ISDIR(out.st.st_mode)) out.name.push_back('/');
    level.names.push_back(std::move(out));
  }
  return {};
}

bool Scanner::measure_holes(int directory, const char* name, const struct stat& st) {
  if (st.st_size == 0 || static_cast<int64_t>(st.st_blocks) * 512 >= st.st_size) return false;
  // Few blocks may also mean compression or delayed allocation: only the file itself knows.
  const Fd fd(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return false;
  const off_t hole = ::lseek(fd.get(), 0, SEEK_HOLE);
  return hole >= 0 && hole < st.st_size;
}

bool Scanner::read_target(int directory, const Name& name, Bytes& target) {
  target.resize(PATH_MAX);
  const ssize_t n = ::readlinkat(directory, name.name.c_str(), target.data(), target.size());
  if (n < 0) {
    if (errno != ENOENT) out_.unreadable.add(system_error(errno, "read link", path()).message);
    return false;
  }
  target.resize(static_cast<size_t>(n));
  target.shrink_to_fit();
  return true;
}

void Scanner::add(const Name& name, volume::Kind kind) {
  const int directory = levels_.back().fd.get();
  Item item;
  item.kind = kind;
  item.posix = posix_of(name.st);
  if (kind == volume::Kind::File) {
    item.bytes = static_cast<uint64_t>(name.st.st_size);
    item.posix.sparse = measure_holes(directory, name.name.c_str(), name.st);
  } else if (kind == volume::Kind::Symlink && !read_target(directory, name, item.target)) {
    return;
  }
  item.key = key_;
  item.modified_ns = modified_ns(name.st);
  item.changed_ns = changed_ns(name.st);
  item.inode = name.st.st_ino;
  if (name.st.st_nlink > 1 && kind != volume::Kind::Directory) {
    const auto [first, is_new] = first_links_.try_emplace({name.st.st_dev, name.st.st_ino}, out_.items.size());
    if (!is_new) item.posix.link = out_.items[first->second].key;
  }
  out_.bytes += item.bytes;
  out_.items.push_back(std::move(item));
}

void Scanner::enter(Level& parent, const Name& name) {
  const std::string plain = name.name.substr(0, name.name.size() - 1);
  Level level;
  level.fd = Fd(::openat(parent.fd.get(), plain.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  level.key_bytes = key_.size();
  if (!level.fd) {
    if (errno != ENOENT) out_.unreadable.add(system_error(errno, "open directory", path()).message);
    return;
  }
  if (auto listed = list(level); !listed) {
    out_.unreadable.add(listed.error().message);
    return;
  }
  std::sort(level.names.begin(), level.names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  levels_.push_back(std::move(level));  // invalidates `parent`
}

Result<void> Scanner::visit(const Name& name) {
  const auto kind = name.root ? volume::Kind::Directory : kind_of(name.st.st_mode);
  if (!options_.excludes.empty() && !name.root) {
    const auto is = kind == volume::Kind::Directory ? Excludes::Is::Directory : Excludes::Is::Other;
    if (options_.excludes.match(path(), is)) return {};
  }
  if (!kind) {
    out_.warnings.add(fmt::format("{}: socket skipped", printable(path())));
    return {};
  }
  if (auto valid = volume::validate_key(key_); !valid) {
    ++bad_keys_total_;
    if (bad_keys_.size() < kBadKeysListed) bad_keys_.push_back(valid.error().message);
    return {};
  }
  add(name, *kind);
  if (kind == volume::Kind::Directory && !name.root) enter(levels_.back(), name);
  return {};
}

Result<void> Scanner::run(const std::string& root) {
  out_.started_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  Level top;
  top.fd = Fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top.fd) return system_fail(errno, "open directory", root);
  key_ = options_.prefix;
  top.key_bytes = key_.size();
  TRY_DO(list(top));
  Name self{options_.prefix.empty() ? "./" : "", {}, true};
  if (::fstat(top.fd.get(), &self.st) != 0) return system_fail(errno, "stat", root);
  top.names.push_back(std::move(self));
  std::sort(top.names.begin(), top.names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  levels_.push_back(std::move(top));
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    const Name name = std::move(level.names[level.next++]);
    key_.resize(level.key_bytes);
    key_ += name.name;
    TRY_DO(visit(name));
  }
  if (bad_keys_total_ > 0) {
    std::string list;
    for (const std::string& bad : bad_keys_) list += "\n  " + bad;
    if (bad_keys_total_ > bad_keys_.size()) list += fmt::format("\n  and {} more", bad_keys_total_ - bad_keys_.size());
    return fail(Code::Invalid, fmt::format("{} names under {} can't be keys; rename or --exclude them:{}",
                                           bad_keys_total_, root, list));
  }
  return {};
}

}  // namespace

Result<Scan> scan(const std::string& root, const ScanOptions& options) {
  Scan out;
  TRY_DO(Scanner(options, out).run(root));
  return out;
}

ByteView path_of(ByteView key, ByteView prefix) {
  key.remove_prefix(std::min(prefix.size(), key.size()));
  if (prefix.empty() && key == "./") return {};
  if (key.ends_with('/')) key.remove_suffix(1);
  return key;
}

}  // namespace hailstone::mirror
