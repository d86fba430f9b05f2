#include "log/spare.h"

#include <algorithm>

namespace hailstone::log {
namespace {
constexpr uint64_t kFillBytes = 1u << 20;
}

Spare::Spare(disk::Disk& disk, const LogOptions& options, Logger& logger)
    : disk_(disk),
      logger_(logger),
      directory_(options.directory),
      path_(options.directory + "/spare"),
      bytes_(options.segment_bytes),
      preparation_(options.spare) {
  const auto exists = disk_.exists(path_);
  file_exists_ = exists && *exists;  // left by an earlier life, perhaps half filled: good for its space
}

Spare::~Spare() { join(); }

void Spare::join() {
  if (!filler_.joinable()) return;
  filler_.join();
  file_exists_ = ready_;  // what could not be filled was removed
}

void Spare::want() {
  if (preparation_ == SparePreparation::Inline || filler_.joinable() || ready_) return;
  file_exists_ = true;
  filler_ = std::thread([this] {
    const auto filled = fill(bytes_);
    ready_ = filled.has_value();
    // Not fatal: take() tries again, and tells the writer.
    if (!filled) logger_.warn("log_spare_not_filled", {{"path", path_}, {"error", filled.error().message}});
  });
}

Result<void> Spare::recycle(const std::string& path) {
  if (file_exists_ || filler_.joinable()) {
    TRY_DO(disk_.remove(path));
    return disk_.sync_directory(directory_);
  }
  TRY_DO(disk_.rename(path, path_));
  file_exists_ = true;
  // Before the first zero is written: else a crash could bring back the segment's name with its content gone.
  TRY_DO(disk_.sync_directory(directory_));
  want();
  return {};
}

Result<void> Spare::take(uint64_t bytes_min) {
  join();
  const bool usable = ready_ && bytes_min <= bytes_;
  ready_ = false;
  file_exists_ = false;
  return usable ? Result<void>() : fill(std::max(bytes_, bytes_min));
}

Result<void> Spare::fill(uint64_t bytes) {
  TRY(auto file, disk_.open(path_, disk::OpenMode::Create));
  const auto filled = [&]() -> Result<void> {
    TRY(const uint64_t size, file->size());
    if (size > bytes) TRY_DO(file->truncate(bytes));
    const Bytes zeros(std::min(bytes, kFillBytes), '\0');
    for (uint64_t at = 0; at < bytes; at += kFillBytes) {
      TRY_DO(file->write_at(at, ByteView(zeros).substr(0, std::min(kFillBytes, bytes - at))));
    }
    return file->sync();
  }();
  if (filled) return {};
  // A file that stopped growing for lack of room gives back what it took.
  file.reset();
  (void)disk_.remove(path_);
  return filled;
}

}  // namespace hailstone::log
