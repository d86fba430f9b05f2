// For tests: a temporary directory, and short ways to fill it and to look at it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "chunk/content.h"
#include "mirror/plan.h"
#include "mirror/restore_layout.h"

namespace hailstone::mirror {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = ::testing::TempDir()) {
    std::string name = parent + "/hailstone-mirror-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { (void)remove_tree(path_); }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}
inline std::string read_text(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}
inline void set_mtime(const std::string& path, int64_t seconds, int64_t nanoseconds = 0) {
  const timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}
inline std::string read_link(const std::string& path) {
  char target[4096];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n < 0 ? std::string() : std::string(target, static_cast<size_t>(n));
}

/// "user::rwx,user:1234:r--,group::r-x,mask::r-x,other::---" in the kernel's form (linux/posix_acl_xattr.h).
inline Bytes sample_acl() {
  Bytes bytes;
  const auto u16 = [&](uint16_t v) { bytes.append({static_cast<char>(v), static_cast<char>(v >> 8)}); };
  const auto u32 = [&](uint32_t v) { u16(static_cast<uint16_t>(v)), u16(static_cast<uint16_t>(v >> 16)); };
  const auto entry = [&](uint16_t tag, uint16_t rights, uint32_t id) { u16(tag), u16(rights), u32(id); };
  u32(2);
  entry(0x01, 7, 0xffffffff);
  entry(0x02, 4, 1234);
  entry(0x04, 5, 0xffffffff);
  entry(0x10, 5, 0xffffffff);
  entry(0x20, 0, 0xffffffff);
  return bytes;
}

/// A content as a server would hold it, without a store: small ones inline, big ones by a made-up reference.
inline chunk::Content content_of(ByteView bytes) {
  chunk::Content content;
  content.bytes = bytes.size();
  content.sha256 = sha256(bytes);
  if (bytes.size() <= chunk::kInlineBytesMax) {
    content.inlined = bytes;
  } else {
    content.refs = {{ChunkId(content.sha256), bytes.size()}};
  }
  return content;
}

}  // namespace hailstone::mirror
