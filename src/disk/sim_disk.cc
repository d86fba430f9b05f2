#include "disk/sim_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hailstone::disk {
namespace {

/// One spelling per file: no trailing or doubled slashes.
std::string normal(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c == '/' && !out.empty() && out.back() == '/') continue;
    out.push_back(c);
  }
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out.empty() ? "." : out;
}

bool is_root(const std::string& path) { return path == "/" || path == "."; }

std::unexpected<Error> absent(std::string_view action, const std::string& path) {
  return fail(Code::NotFound, fmt::format("{} {}: no such file or directory", action, path));
}

std::unexpected<Error> injected(std::string_view action, const std::string& path) {
  return fail(Code::Io, fmt::format("{} {}: injected failure", action, path));
}

}  // namespace

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Node> node, std::string path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), life_(disk.life_) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) const override {
    const std::lock_guard hold(disk_.mutex_);
    TRY_DO(usable());
    if (offset >= node_->live.size()) return size_t{0};
    const size_t count = std::min<uint64_t>(out.size(), node_->live.size() - offset);
    std::copy_n(node_->live.data() + offset, count, out.data());
    return count;
  }

  Result<void> write_at(uint64_t offset, ByteView data) override {
    const std::lock_guard hold(disk_.mutex_);
    TRY_DO(usable());
    const auto fate = disk_.next_operation();
    const uint64_t room = disk_.capacity_ - std::min(disk_.capacity_, disk_.used_locked());
    const uint64_t end = offset + data.size();
    const uint64_t excess = end > node_->live.size() ? end - node_->live.size() : 0;
    const uint64_t fits = data.size() - std::min<uint64_t>(data.size(), excess - std::min(excess, room));
    const bool full = fits < data.size();
    if (fate == SimDisk::Fate::Fails) data = data.substr(0, data.size() / 2);
    data = data.substr(0, fits);
    if (!data.empty()) record({SimDisk::Change::Kind::Write, offset, Bytes(data)});
    if (fate != SimDisk::Fate::Happens) return injected(fmt::format("write at {} of", offset), path_);
    if (full) return fail(Code::Exhausted, fmt::format("write at {} of {}: disk full", offset, path_));
    return {};
  }

  Result<void> sync() override {
    const std::lock_guard hold(disk_.mutex_);
    TRY_DO(usable());
    const auto fate = disk_.next_operation();
    if (fate != SimDisk::Fate::Happens) {
      suspect_ = true;
      if (fate == SimDisk::Fate::Fails) node_->unsynced.clear();
      return injected("sync", path_);
    }
    for (const auto& change : node_->unsynced) SimDisk::apply(node_->durable, change);
    node_->unsynced.clear();
    return {};
  }

  Result<void> truncate(uint64_t size) override {
    const std::lock_guard hold(disk_.mutex_);
    TRY_DO(usable());
    const auto fate = disk_.next_operation();
    if (fate != SimDisk::Fate::Fails) record({SimDisk::Change::Kind::Truncate, size, {}});
    if (fate != SimDisk::Fate::Happens) return injected("truncate", path_);
    return {};
  }

  Result<uint64_t> size() const override {
    const std::lock_guard hold(disk_.mutex_);
    TRY_DO(usable());
    return node_->live.size();
  }

 private:
  Result<void> usable() const {
    TRY_DO(disk_.running());
    if (life_ != disk_.life_) return fail(Code::Io, fmt::format("{}: opened before the crash", path_));
    if (suspect_) return fail(Code::Io, fmt::format("{}: an earlier sync failed", path_));
    return {};
  }

  void record(SimDisk::Change change) {
    SimDisk::apply(node_->live, change);
    node_->unsynced.push_back(std::move(change));
  }

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Node> node_;
  std::string path_;
  uint64_t life_;
  bool suspect_ = false;
};

class SimLock final : public DirectoryLock {
 public:
  SimLock(SimDisk& disk, std::string path) : disk_(disk), path_(std::move(path)), life_(disk.life_) {}
  ~SimLock() override {
    const std::lock_guard hold(disk_.mutex_);
    if (life_ == disk_.life_) disk_.locks_.erase(path_);
  }

 private:
  SimDisk& disk_;
  std::string path_;
  uint64_t life_;
};

SimDisk::~SimDisk() = default;

Result<void> SimDisk::running() const {
  if (crashed_) return fail(Code::Io, "simulated disk: crashed");
  return {};
}

SimDisk::Fate SimDisk::next_operation() {
  ++operations_;
  if (operations_ == crash_at_) {
    crashed_ = true;
    return Fate::Crashes;
  }
  return operations_ == fail_at_ ? Fate::Fails : Fate::Happens;
}

Result<std::shared_ptr<SimDisk::Node>> SimDisk::find(const std::string& path) const {
  const auto found = live_.find(path);
  if (found == live_.end()) return absent("open", path);
  return found->second;
}

bool SimDisk::has_directory(const std::string& path) const {
  if (is_root(path)) return true;
  const auto found = live_.find(path);
  return found != live_.end() && found->second->directory;
}

void SimDisk::change_names(NameOperation operation) {
  for (const auto& change : operation) {
    if (change.node)
      live_[change.path] = change.node;
    else
      live_.erase(change.path);
  }
  unsynced_names_.push_back(std::move(operation));
}

void SimDisk::settle_names(const std::string& directory) {
  for (auto& operation : unsynced_names_) {
    std::erase_if(operation, [&](const NameChange& change) {
      if (parent_directory(change.path) != directory) return false;
      if (change.node)
        durable_[change.path] = change.node;
      else
        durable_.erase(change.path);
      return true;
    });
  }
  std::erase_if(unsynced_names_, [](const NameOperation& operation) { return operation.empty(); });
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& given, OpenMode mode) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  auto node = find(path);
  if (node && (*node)->directory) return fail(Code::Invalid, fmt::format("open {}: is a directory", path));
  if (node && mode == OpenMode::CreateNew) return fail(Code::Exists, fmt::format("open {}: file exists", path));
  if (!node) {
    if (mode == OpenMode::Read || mode == OpenMode::Write) return std::unexpected(std::move(node).error());
    if (!has_directory(parent_directory(path))) return absent("open", path);
    const Fate fate = next_operation();
    node = std::make_shared<Node>();
    if (fate != Fate::Fails) change_names({{path, *node}});
    if (fate != Fate::Happens) return injected("create", path);
  }
  return std::make_unique<SimFile>(*this, *node, path);
}

Result<void> SimDisk::rename(const std::string& given_from, const std::string& given_to) {
  const std::string from = normal(given_from);
  const std::string to = normal(given_to);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  const auto source = live_.find(from);
  if (source == live_.end() || !has_directory(parent_directory(to))) return absent("rename", from + " to " + to);
  if (source->second->directory || has_directory(to)) {
    return fail(Code::Unsupported, fmt::format("rename {} to {}: simulated directories stay where they are", from, to));
  }
  const Fate fate = next_operation();
  if (fate != Fate::Fails && from != to) change_names({{from, nullptr}, {to, source->second}});
  if (fate != Fate::Happens) return injected("rename", from);
  return {};
}

Result<void> SimDisk::remove(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  const auto found = live_.find(path);
  if (found == live_.end()) return absent("remove", path);
  if (found->second->directory) return fail(Code::Invalid, fmt::format("remove {}: is a directory", path));
  const Fate fate = next_operation();
  if (fate != Fate::Fails) change_names({{path, nullptr}});
  if (fate != Fate::Happens) return injected("remove", path);
  return {};
}

Result<void> SimDisk::make_directories(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  std::vector<std::string> missing;
  for (std::string at = path; !has_directory(at); at = parent_directory(at)) {
    if (live_.contains(at)) return fail(Code::Exists, fmt::format("make directory {}: {} is a file", path, at));
    missing.push_back(at);
  }
  const Fate fate = next_operation();
  if (fate == Fate::Fails) return injected("make directory", path);
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    auto node = std::make_shared<Node>();
    node->directory = true;
    change_names({{*at, std::move(node)}});
    if (fate == Fate::Crashes) return injected("make directory", path);
    settle_names(parent_directory(*at));
  }
  if (fate == Fate::Crashes) return injected("make directory", path);
  settle_names(parent_directory(path));
  return {};
}

Result<void> SimDisk::remove_directory(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  if (is_root(path) || !has_directory(path)) return absent("remove directory", path);
  const auto inside = live_.lower_bound(path + "/");
  if (inside != live_.end() && inside->first.starts_with(path + "/")) {
    return fail(Code::Conflict, fmt::format("remove directory {}: not empty", path));
  }
  const Fate fate = next_operation();
  if (fate != Fate::Fails) change_names({{path, nullptr}});
  if (fate != Fate::Happens) return injected("remove directory", path);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(const std::string& given) const {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  if (!has_directory(path)) return absent("list", path);
  std::vector<std::string> names;
  for (const auto& [name, node] : live_) {
    if (name != path && parent_directory(name) == path) names.push_back(name.substr(name.rfind('/') + 1));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<bool> SimDisk::exists(const std::string& given) const {
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  const std::string path = normal(given);
  return is_root(path) || live_.contains(path);
}

Result<bool> SimDisk::is_directory(const std::string& path) const {
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  return has_directory(normal(path));
}

Result<uint64_t> SimDisk::file_size(const std::string& path) const {
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  TRY(const auto node, find(normal(path)));
  return node->live.size();
}

Result<void> SimDisk::sync_directory(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  if (!has_directory(path)) return absent("sync directory", path);
  const Fate fate = next_operation();
  if (fate != Fate::Happens) return injected("sync directory", path);
  settle_names(path);
  return {};
}

Result<uint64_t> SimDisk::free_bytes(const std::string&) const {
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  return capacity_ - std::min(capacity_, used_locked());
}

Result<std::unique_ptr<DirectoryLock>> SimDisk::lock(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY_DO(running());
  if (!live_.contains(path) && !is_root(path)) {
    if (!has_directory(parent_directory(path))) return absent("lock", path);
    const Fate fate = next_operation();
    if (fate != Fate::Fails) change_names({{path, std::make_shared<Node>()}});
    if (fate != Fate::Happens) return injected("create", path);
  }
  if (!locks_.insert(path).second) {
    return fail(Code::Unavailable, fmt::format("{} is locked by another process", path));
  }
  return std::make_unique<SimLock>(*this, path);
}

uint64_t SimDisk::operations() const {
  const std::lock_guard hold(mutex_);
  return operations_;
}

void SimDisk::fail_at(uint64_t operation) {
  const std::lock_guard hold(mutex_);
  fail_at_ = operation;
}

void SimDisk::crash_at(uint64_t operation) {
  const std::lock_guard hold(mutex_);
  crash_at_ = operation;
}

void SimDisk::crash() {
  const std::lock_guard hold(mutex_);
  crashed_ = true;
}

bool SimDisk::crashed() const {
  const std::lock_guard hold(mutex_);
  return crashed_;
}

void SimDisk::set_capacity(uint64_t bytes) {
  const std::lock_guard hold(mutex_);
  capacity_ = bytes;
}

uint64_t SimDisk::used_bytes() const {
  const std::lock_guard hold(mutex_);
  return used_locked();
}

uint64_t SimDisk::used_locked() const {
  uint64_t used = 0;
  for (const auto& [path, node] : live_) used += node->live.size();
  return used;
}

void SimDisk::apply(Bytes& content, const Change& change) {
  if (change.kind == Change::Kind::Truncate) {
    content.resize(change.offset, '\0');
    return;
  }
  if (content.size() < change.offset + change.data.size()) content.resize(change.offset + change.data.size(), '\0');
  std::copy(change.data.begin(), change.data.end(), content.begin() + static_cast<ptrdiff_t>(change.offset));
}

void SimDisk::settle_torn(Node& node, std::mt19937_64& random) const {
  // Each crash draws how much of the cache reached the platter, so that nearly all and nearly nothing are met too.
  const uint64_t percent = std::array<uint64_t, 4>{10, 50, 90, 99}[random() % 4];
  const auto lands = [&] { return random() % 100 < percent; };
  uint64_t end_max = node.durable.size();
  for (const auto& change : node.unsynced) end_max = std::max<uint64_t>(end_max, change.offset + change.data.size());
  const uint64_t grown_to = node.durable.size() + random() % (end_max - node.durable.size() + 1);

  std::vector<Change> sectors;
  const auto land_some = [&] {
    std::shuffle(sectors.begin(), sectors.end(), random);
    for (const auto& sector : sectors) {
      const uint64_t end = sector.offset + sector.data.size();
      const bool grows = growth_ == Growth::Ordered && end > node.durable.size();
      if (grows ? end <= grown_to : lands()) apply(node.live, sector);
    }
    sectors.clear();
  };
  node.live = node.durable;
  for (const auto& change : node.unsynced) {
    if (change.kind == Change::Kind::Truncate) {
      land_some();
      if (lands()) apply(node.live, change);
      continue;
    }
    for (uint64_t at = 0; at < change.data.size();) {
      const uint64_t in_sector = kSimSectorBytes - (change.offset + at) % kSimSectorBytes;
      const uint64_t count = std::min<uint64_t>(in_sector, change.data.size() - at);
      sectors.push_back({Change::Kind::Write, change.offset + at, change.data.substr(at, count)});
      at += count;
    }
  }
  land_some();
  if (growth_ == Growth::Free && grown_to > node.live.size() && lands()) node.live.resize(grown_to, '\0');
}

void SimDisk::restart(CrashMode mode, uint64_t seed) {
  const std::lock_guard hold(mutex_);
  std::mt19937_64 random(seed);
  const uint64_t percent = std::array<uint64_t, 3>{10, 50, 90}[random() % 3];
  for (const auto& operation : unsynced_names_) {
    if (mode == CrashMode::Drop || (mode == CrashMode::Torn && random() % 100 >= percent)) continue;
    for (const auto& change : operation) {
      if (change.node)
        durable_[change.path] = change.node;
      else
        durable_.erase(change.path);
    }
  }
  unsynced_names_.clear();
  // What is in a directory whose own name was lost is lost with it. Parents come before children in this order.
  std::erase_if(durable_, [&](const auto& entry) {
    for (std::string up = parent_directory(entry.first); !is_root(up); up = parent_directory(up)) {
      const auto found = durable_.find(up);
      if (found == durable_.end() || !found->second->directory) return true;
    }
    return false;
  });
  for (auto& [path, node] : durable_) {
    node->live = node->durable;
    if (mode == CrashMode::Torn) settle_torn(*node, random);
    if (mode == CrashMode::Keep) {
      for (const auto& change : node->unsynced) apply(node->live, change);
    }
    node->durable = node->live;
    node->unsynced.clear();
  }
  live_ = durable_;
  locks_.clear();
  ++life_;
  fail_at_ = crash_at_ = 0;
  crashed_ = false;
}

Result<void> SimDisk::flip(const std::string& given, uint64_t offset, uint8_t mask, uint64_t count) {
  const std::string path = normal(given);
  const std::lock_guard hold(mutex_);
  TRY(const auto node, find(path));
  if (offset + count > node->live.size()) {
    return fail(Code::Invalid, fmt::format("flip {} at {}: only {} bytes", path, offset, node->live.size()));
  }
  for (uint64_t at = offset; at < offset + count; ++at) {
    node->live[at] = static_cast<char>(node->live[at] ^ mask);
    if (at < node->durable.size()) node->durable[at] = static_cast<char>(node->durable[at] ^ mask);
  }
  return {};
}

}  // namespace hailstone::disk
