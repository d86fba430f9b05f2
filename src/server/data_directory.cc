#include "server/data_directory.h"

#include <fmt/format.h>

namespace hailstone::server {
namespace {

constexpr std::string_view kVersionText = "hailstone data, format 1\n";

// A file says what made this directory, so that a later format is refused in words and a foreign directory is left
// alone.
Result<bool> is_fresh(disk::Disk& disk, const std::string& directory) {
  const std::string path = directory + "/VERSION";
  TRY(const bool exists, disk.exists(path));
  if (exists) {
    TRY(const auto text, disk::read_file(disk, path, 1024));
    if (text != kVersionText)
      return fail(Code::Unsupported, fmt::format("{} says '{}', this program writes '{}': use the version that made it",
                                                 path, printable(text), printable(kVersionText)));
    return false;
  }
  TRY(const auto names, disk.list(directory));
  for (const std::string& name : names)  // a first start cut short leaves these two
    if (name != "lock" && name != "VERSION.tmp")
      return fail(Code::Invalid,
                  fmt::format("holds '{}' but no VERSION: not a Hailstone data directory; choose an empty one", name));
  TRY_DO(disk::write_file_atomic(disk, path, kVersionText));
  return true;
}

}  // namespace

Result<DataDirectory> DataDirectory::open(disk::Disk& disk, const std::string& path) {
  DataDirectory out;
  TRY_DO(disk.make_directories(path));
  TRY(out.lock, disk.lock(path + "/lock"));
  TRY(out.fresh, is_fresh(disk, path));
  return out;
}

}  // namespace hailstone::server
