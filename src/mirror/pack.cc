#include "mirror/pack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "mirror/fingerprint.h"

namespace hailstone::mirror {
namespace {

using Outcome = StepResult::Outcome;

constexpr uint64_t kSmallBytesMax =
    1u << 20;  // up to here a file is read whole and checked before a byte of it is sent
constexpr size_t kReadBytes = 256u << 10;
// The first miss may only mean that the scan is old, so that two reads follow: the retry, after a real change.
constexpr unsigned kAttempts = 3;

int64_t as_offset(uint64_t offset) { return static_cast<int64_t>(offset); }

bool same_file(const struct stat& st, const Item& item) {
  return static_cast<uint64_t>(st.st_size) == item.bytes && modified_ns(st) == item.modified_ns &&
         changed_ns(st) == item.changed_ns && st.st_ino == item.inode;
}

// The item as it is now; its key, link and sparseness stay as scanned.
void refresh(Item& item, const struct stat& st) {
  volume::Posix posix = posix_of(st);
  posix.link = std::move(item.posix.link);
  posix.sparse = item.posix.sparse;
  item.posix = std::move(posix);
  item.bytes = static_cast<uint64_t>(st.st_size);
  item.modified_ns = modified_ns(st);
  item.changed_ns = changed_ns(st);
  item.inode = st.st_ino;
}

// Up to size bytes from `offset`; fewer only at the end of the file. -1 with errno.
ssize_t read_full(int fd, char* out, size_t size, uint64_t offset) {
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::pread(fd, out + have, size - have, as_offset(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(have);
}

uint64_t print_of(const Item& item, uint64_t bytes, const Hash256& sha256) {
  volume::Entry entry = entry_of(item);
  entry.content.bytes = bytes;
  entry.content.sha256 = sha256;
  return fingerprint(entry);
}

Result<Hash256> hash_file(int fd, ByteView path) {
  Hasher hasher(Hasher::Kind::Sha256);
  Bytes buffer(kReadBytes, '\0');
  for (uint64_t offset = 0;;) {
    const ssize_t n = read_full(fd, buffer.data(), buffer.size(), offset);
    if (n < 0) return system_fail(errno, "read", path);
    if (n == 0) return Hash256::from_view(hasher.finish());
    hasher.update(ByteView(buffer).substr(0, static_cast<size_t>(n)));
    offset += static_cast<uint64_t>(n);
  }
}

Result<Fd> open_regular(Directories& directories, ByteView path) {
  const auto [directory, name] = split_path(path);
  TRY(const int parent, directories.enter(directory));
  // O_NONBLOCK: a fifo that took the file's place must not stall the import.
  Fd fd(::openat(parent, std::string(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return system_fail(errno, "open", path);
  return fd;
}

Result<Xattrs> xattrs_of(Directories& directories, ByteView path) {
  if (path.empty()) return read_xattrs(directories.root(), "./");
  const auto [directory, name] = split_path(path);
  TRY(const int parent, directories.enter(directory));
  return read_xattrs_at(parent, std::string(name), path);
}

void failed(StepResult& result, const Error& error) {
  result.outcome = error.code == Code::NotFound ? Outcome::Vanished : Outcome::Failed;
  result.message = error.message;
}

void changed_twice(const Item& item, StepResult& result) {
  result.outcome = Outcome::Failed;
  result.message =
      fmt::format("{}: changed while it was read, twice; import again when it is quiet", printable(item.key));
}

}  // namespace

struct Packer::Large {
  const Step* step;
  StepResult* result;
  Item item;
  Fd fd;
  unsigned attempts_left;
  uint64_t offset = 0;
  Hasher hasher{Hasher::Kind::Sha256};
  Bytes buffer = Bytes(kReadBytes, '\0');
};

Result<std::unique_ptr<TreeProbe>> TreeProbe::open(const std::string& root, Bytes prefix) {
  TRY(Directories directories, Directories::open(root));
  return std::unique_ptr<TreeProbe>(new TreeProbe(std::move(directories), std::move(prefix)));
}

Result<Xattrs> TreeProbe::xattrs(const Item& item) { return xattrs_of(directories_, path_of(item.key, prefix_)); }

Result<Hash256> TreeProbe::content_sha256(const Item& item) {
  const ByteView path = path_of(item.key, prefix_);
  TRY(const Fd fd, open_regular(directories_, path));
  return hash_file(fd.get(), path);
}

Packer::Packer(Directories directories, const Scan& scan, const Plan& plan, Bytes prefix, EntryLookup lookup,
               const BatchLimits& limits)
    : directories_(std::move(directories)),
      scan_(scan),
      plan_(plan),
      prefix_(std::move(prefix)),
      lookup_(std::move(lookup)),
      limits_(limits),
      results_(plan.steps.size()) {}

Packer::~Packer() = default;

Result<std::unique_ptr<Packer>> Packer::open(const std::string& root, const Scan& scan, const Plan& plan, Bytes prefix,
                                             EntryLookup lookup, const BatchLimits& limits) {
  TRY(Directories directories, Directories::open(root));
  return std::unique_ptr<Packer>(
      new Packer(std::move(directories), scan, plan, std::move(prefix), std::move(lookup), limits));
}

void Packer::seek(size_t step) {
  next_ = step;
  encoder_.reset();
  large_.reset();
  for (size_t i = step; i < results_.size(); ++i) results_[i] = {};
}

Result<Packer::Progress> Packer::produce(Bytes& out, size_t chunk_bytes) {
  while (true) {
    if (!encoder_) {
      if (next_ == plan_.steps.size()) return Progress::Done;
      encoder_.emplace();
      batch_steps_ = 0;
      batch_bytes_ = 0;
      batch_emitted_ = false;
    }
    if (encoder_->pending() >= chunk_bytes) {
      out += encoder_->take();
      batch_emitted_ = true;
      return Progress::More;
    }
    if (large_) {
      continue_large();
    } else if (next_ < plan_.steps.size() && batch_steps_ < limits_.steps && batch_bytes_ < limits_.bytes) {
      const size_t before = encoder_->pending();
      TRY_DO(run_step(plan_.steps[next_], results_[next_]));
      batch_bytes_ += encoder_->pending() - before;
      ++batch_steps_;
      if (!large_) ++next_;
    } else {
      const bool worth_sending = batch_emitted_ || encoder_->counts() != WireCounts{};
      if (worth_sending) {
        encoder_->end();
        out += encoder_->take();
      }
      encoder_.reset();
      if (worth_sending) return Progress::BatchEnd;
    }
  }
}

Result<void> Packer::run_step(const Step& step, StepResult& result) {
  switch (step.action) {
    case Action::Put: put(step, result); return {};
    case Action::Meta: return meta(step, result);
    case Action::Delete:
      encoder_->remove(step.key);
      result.outcome = Outcome::Sent;
      return {};
  }
  return {};
}

void Packer::put(const Step& step, StepResult& result) {
  const Item& item = scan_.items[step.item];
  if (item.kind == volume::Kind::File) {
    put_file(step, item, kAttempts, result);
  } else {
    put_plain(step, item, result);
  }
}

void Packer::sent(const Item& item, uint64_t print, StepResult& result, Outcome outcome) {
  result.outcome = outcome;
  result.record = record_of(item, print, scan_.started_ns);
}

// Whatever has no content to read: directories, symlinks, fifos, devices.
void Packer::put_plain(const Step& step, Item item, StepResult& result) {
  auto xattrs = xattrs_of(directories_, path_of(item.key, prefix_));
  if (!xattrs) return failed(result, xattrs.error());
  item.posix.xattrs = std::move(*xattrs);
  const uint64_t print = print_of(item, item.target.size(), sha256(item.target));
  if (step.known == print) return sent(item, print, result, Outcome::Unchanged);
  if (auto put = encoder_->put_inline(item.key, entry_of(item), item.target); !put)
    return failed(result, Error(put.error()).within(printable(item.key)));
  sent(item, print, result, Outcome::Sent);
}

void Packer::put_file(const Step& step, Item item, unsigned attempts_left, StepResult& result) {
  const ByteView path = path_of(item.key, prefix_);
  auto fd = open_regular(directories_, path);
  if (!fd) return failed(result, fd.error());
  if (item.bytes > kSmallBytesMax) return put_large(step, std::move(item), std::move(*fd), attempts_left, result);
  put_small(step, std::move(item), std::move(*fd), attempts_left, result);
}

void Packer::put_small(const Step& step, Item item, Fd fd, unsigned attempts_left, StepResult& result) {
  const ByteView path = path_of(item.key, prefix_);
  while (true) {
    buffer_.resize(item.bytes + 1);  // one more shows that it grew
    const ssize_t n = read_full(fd.get(), buffer_.data(), buffer_.size(), 0);
    struct stat st{};
    if (n < 0 || ::fstat(fd.get(), &st) != 0) return failed(result, system_error(errno, "read", path));
    if (same_file(st, item) && static_cast<uint64_t>(n) == item.bytes) break;
    if (--attempts_left == 0 || !S_ISREG(st.st_mode)) return changed_twice(item, result);
    refresh(item, st);
    if (item.bytes > kSmallBytesMax) return put_large(step, std::move(item), std::move(fd), attempts_left, result);
  }
  auto xattrs = read_xattrs(fd.get(), path);
  if (!xattrs) return failed(result, xattrs.error());
  item.posix.xattrs = std::move(*xattrs);
  const ByteView content = ByteView(buffer_).substr(0, item.bytes);
  const Hash256 hash = sha256(content);
  const uint64_t print = print_of(item, item.bytes, hash);
  if (step.known == print) return sent(item, print, result, Outcome::Unchanged);
  const volume::Entry entry = entry_of(item);
  const bool inlined = content.size() <= kWireInlineBytesMax;
  const auto put =
      inlined ? encoder_->put_inline(item.key, entry, content) : encoder_->begin_put(item.key, entry, content.size());
  if (!put) return failed(result, Error(put.error()).within(printable(item.key)));
  if (!inlined) {
    encoder_->data(content);
    encoder_->done(hash);
  }
  sent(item, print, result, Outcome::Sent);
}

void Packer::put_large(const Step& step, Item item, Fd fd, unsigned attempts_left, StepResult& result) {
  const ByteView path = path_of(item.key, prefix_);
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return failed(result, system_error(errno, "stat", path));
  if (!S_ISREG(st.st_mode)) return changed_twice(item, result);
  refresh(item, st);
  auto xattrs = read_xattrs(fd.get(), path);
  if (!xattrs) return failed(result, xattrs.error());
  item.posix.xattrs = std::move(*xattrs);
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  if (step.hash_first) {
    auto hash = hash_file(fd.get(), path);
    if (!hash) return failed(result, hash.error());
    const uint64_t print = print_of(item, item.bytes, *hash);
    if (step.known == print && ::fstat(fd.get(), &st) == 0 && same_file(st, item))
      return sent(item, print, result, Outcome::Unchanged);
  }
  if (auto put = encoder_->begin_put(item.key, entry_of(item), item.bytes); !put)
    return failed(result, Error(put.error()).within(printable(item.key)));
  large_ = std::make_unique<Large>(Large{&step, &result, std::move(item), std::move(fd), attempts_left});
}

void Packer::continue_large() {
  Large& large = *large_;
  const uint64_t left = large.item.bytes - large.offset;
  const auto want = static_cast<size_t>(std::min<uint64_t>(left, kReadBytes));
  const ssize_t n = read_full(large.fd.get(), large.buffer.data(), want, large.offset);
  const int error_number = n < 0 ? errno : 0;
  if (n > 0) {
    const ByteView bytes = ByteView(large.buffer).substr(0, static_cast<size_t>(n));
    large.hasher.update(bytes);
    encoder_->data(bytes);
    large.offset += bytes.size();
    batch_bytes_ += bytes.size();
    if (bytes.size() == want && large.offset < large.item.bytes) return;
  }
  // The end, expected or not: only a file that is still the one we announced counts.
  const std::unique_ptr<Large> done = std::move(large_);
  struct stat st{};
  const bool whole = error_number == 0 && done->offset == done->item.bytes && ::fstat(done->fd.get(), &st) == 0;
  if (whole && same_file(st, done->item)) {
    const Hash256 hash = Hash256::from_view(done->hasher.finish());
    encoder_->done(hash);
    sent(done->item, print_of(done->item, done->item.bytes, hash), *done->result, Outcome::Sent);
    ++next_;
    return;
  }
  encoder_->abandon();
  if (error_number != 0) {
    failed(*done->result, system_error(error_number, "read", path_of(done->item.key, prefix_)));
  } else if (done->attempts_left <= 2) {
    changed_twice(done->item, *done->result);
  } else {
    put_file(*done->step, done->item, done->attempts_left - 1, *done->result);
  }
  if (!large_) ++next_;
}

Result<void> Packer::meta(const Step& step, StepResult& result) {
  Item item = scan_.items[step.item];
  std::optional<volume::Entry> asked;
  if (step.server == nullptr) {
    TRY(asked, lookup_(step.key));
  }
  const volume::Entry* server = step.server != nullptr ? step.server : asked ? &*asked : nullptr;
  const ByteView path = path_of(item.key, prefix_);
  auto fd = open_regular(directories_, path);
  if (!fd) {
    failed(result, fd.error());
    return {};
  }
  struct stat st{};
  const bool stat_ok = ::fstat(fd->get(), &st) == 0 && S_ISREG(st.st_mode);
  // Someone else may have replaced either side since the plan was made.
  if (!stat_ok || server == nullptr || step.known != fingerprint(*server) ||
      static_cast<uint64_t>(st.st_size) != item.bytes || modified_ns(st) != item.modified_ns) {
    put_file(step, item, kAttempts, result);
    return {};
  }
  refresh(item, st);
  auto xattrs = read_xattrs(fd->get(), path);
  if (!xattrs) {
    failed(result, xattrs.error());
    return {};
  }
  item.posix.xattrs = std::move(*xattrs);
  volume::Entry entry = entry_of(item);
  entry.content = server->content;
  const uint64_t print = fingerprint(entry);
  if (step.known == print) {
    sent(item, print, result, Outcome::Unchanged);
  } else if (auto copied = encoder_->copy(item.key, entry); !copied) {
    failed(result, Error(copied.error()).within(printable(item.key)));
  } else {
    sent(item, print, result, Outcome::Sent);
  }
  return {};
}

}  // namespace hailstone::mirror
