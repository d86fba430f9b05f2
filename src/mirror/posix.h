// POSIX metadata between the kernel and an entry: extended attributes and ACLs read, everything put back in a safe
// order.
#pragma once

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "mirror/system.h"
#include "volume/entry.h"

namespace hailstone::mirror {

using Xattrs = std::vector<std::pair<Bytes, Bytes>>;  // sorted by name

/// What is kept: user.*, trusted.*, security.capability, system.posix_acl_{access,default}. Anything else belongs to
/// the host (security.selinux) or to its file system.
bool is_kept_xattr(ByteView name);

/// Of an open file. A file system without attributes has none; one that vanishes meanwhile is left out.
Result<Xattrs> read_xattrs(int fd, ByteView path);
/// Of `name` in an open directory, without opening it: for symlinks, devices and fifos.
Result<Xattrs> read_xattrs_at(int directory, const std::string& name, ByteView path);

/// Kind of a stat mode; nothing for sockets.
std::optional<volume::Kind> kind_of(mode_t mode);
int64_t modified_ns(const struct stat& st);
int64_t changed_ns(const struct stat& st);

/// Everything of Posix but xattrs, link and sparse.
volume::Posix posix_of(const struct stat& st);

/// What could not be restored, counted by reason; messages for people are cut at a limit.
class Warnings {
 public:
  void add(std::string text);
  void append(const Warnings& others);
  const std::vector<std::string>& texts() const { return texts_; }
  uint64_t total() const { return total_; }

 private:
  static constexpr size_t kTextsMax = 50;
  std::vector<std::string> texts_;
  uint64_t total_ = 0;
};

enum class Owners : uint8_t { Restore, Ignore };

/// Puts owner, attributes, mode, ACLs and mtime on `name` in `directory`, in that order: chown clears setuid bits and
/// capabilities, chmod would rewrite an ACL's mask, anything later would touch the mtime. `fd` is the open file or
/// directory, or -1 for other kinds. Attributes the file system or the caller's rights refuse are warnings.
Result<void> apply_metadata(int directory, const std::string& name, int fd, const volume::Entry& entry, Owners owners,
                            ByteView path, Warnings& warnings);

}  // namespace hailstone::mirror
