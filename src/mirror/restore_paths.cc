#include "mirror/restore_paths.h"

#include <fmt/format.h>

#include <string>
#include <unordered_set>

namespace hailstone::mirror {
namespace {

constexpr size_t kListed = 10;
constexpr size_t kNameBytesMax = 255;  // NAME_MAX of every file system in use

// Nothing when the path is fine.
std::string_view complaint(ByteView path) {
  size_t at = 0;
  while (true) {
    const size_t end = std::min(path.find('/', at), path.size());
    const ByteView name = path.substr(at, end - at);
    if (name.empty()) return "has an empty path component";
    if (name == "." || name == "..") return "would leave its place in the tree";
    if (name.size() > kNameBytesMax) return "has a path component over 255 bytes";
    if (name.find('\0') != ByteView::npos) return "contains a NUL byte";
    if (name == kTemporaryName) return "is a name reserved for exports";
    if (end == path.size()) return {};
    at = end + 1;
  }
}

}  // namespace

Result<void> check_paths(const std::vector<KeyEntry>& entries, ByteView prefix) {
  std::vector<std::string> bad;
  uint64_t total = 0;
  const auto complain = [&](ByteView key, std::string_view why) {
    if (total++ < kListed) bad.push_back(fmt::format("\n  {}: {}", printable(key), why));
  };
  std::unordered_set<ByteView> others;  // paths of all that is not a directory
  for (const KeyEntry& item : entries)
    if (!is_directory(item)) others.insert(path_of(item.key, prefix));
  for (const KeyEntry& item : entries) {
    const bool directory = is_directory(item);
    if (!ByteView(item.key).starts_with(prefix)) {
      complain(item.key, "is outside of the exported prefix");
      continue;
    }
    const ByteView path = path_of(item.key, prefix);
    if (path.empty() && directory) continue;  // the root
    if (directory != item.key.ends_with('/')) {
      complain(item.key, directory ? "is a directory whose key lacks the '/'" : "ends with '/' but is no directory");
      continue;
    }
    if (const auto why = complaint(path); !why.empty()) {
      complain(item.key, why);
      continue;
    }
    if (directory && others.contains(path)) complain(item.key, "is both a directory and something else");
    for (size_t slash = path.find('/'); slash != ByteView::npos; slash = path.find('/', slash + 1)) {
      if (!others.contains(path.substr(0, slash))) continue;
      complain(item.key, "lies below a key that is not a directory");
      break;
    }
  }
  if (total == 0) return {};
  std::string list;
  for (const std::string& line : bad) list += line;
  if (total > bad.size()) list += fmt::format("\n  and {} more", total - bad.size());
  return fail(Code::Invalid, fmt::format("{} keys can't be files of one directory tree:{}", total, list));
}

}  // namespace hailstone::mirror
