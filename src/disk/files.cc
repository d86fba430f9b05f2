#include <fmt/format.h>

#include "disk/disk.h"

namespace hailstone::disk {

std::string parent_directory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<Bytes> read_file(Disk& disk, const std::string& path, uint64_t bytes_max) {
  Bytes content;
  TRY_DO(read_file(disk, path, bytes_max, content));
  return content;
}

Result<void> read_file(Disk& disk, const std::string& path, uint64_t bytes_max, Bytes& content) {
  TRY(auto file, disk.open(path, OpenMode::Read));
  TRY(const uint64_t size, file->size());
  if (size > bytes_max) {
    return fail(Code::Invalid, fmt::format("read {}: {} bytes, at most {} expected", path, size, bytes_max));
  }
  content.resize(size);
  TRY(const size_t got, file->read_at(0, content));
  content.resize(got);
  return {};
}

namespace {

Result<void> write_temporary(Disk& disk, const std::string& path, ByteView content) {
  TRY(auto file, disk.open(path, OpenMode::Create));
  TRY_DO(file->truncate(0));  // a crash may have left an earlier, longer one
  TRY_DO(file->write_at(0, content));
  return file->sync();
}

}  // namespace

Result<void> write_file_atomic(Disk& disk, const std::string& path, ByteView content) {
  const std::string temporary = path + ".tmp";
  auto written = write_temporary(disk, temporary, content);
  if (written) written = disk.rename(temporary, path);
  if (!written) {
    // Best effort: a left-over is overwritten by the next attempt.
    (void)disk.remove(temporary);
    return written;
  }
  return disk.sync_directory(parent_directory(path));
}

}  // namespace hailstone::disk
