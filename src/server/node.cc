#include "server/node.h"

#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include "base/sealing.h"
#include "replica/rocks_database.h"

namespace hailstone::server {
namespace {

Result<Bytes> random_hex(size_t bytes) {
  Bytes raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1)
    return fail(Code::Io, "the system's random source failed");
  return to_hex(raw);
}

}  // namespace

Result<std::unique_ptr<Node>> Node::open(const Config& config, std::unique_ptr<disk::Disk> disk, Logger& logger) {
  auto directory = DataDirectory::open(*disk, config.data);
  if (!directory) return std::unexpected(std::move(directory).error().within(fmt::format("opening {}", config.data)));
  return open(config, *std::move(directory), std::move(disk), logger);
}

Result<std::unique_ptr<Node>> Node::open(const Config& config, DataDirectory directory,
                                         std::unique_ptr<disk::Disk> disk, Logger& logger) {
  TRY_DO(config.validate());
  std::unique_ptr<Node> node(new Node(config, std::move(disk)));
  node->directory_ = std::move(directory);
  if (auto opened = node->open_all(logger); !opened)
    return std::unexpected(std::move(opened).error().within(fmt::format("opening {}", config.data)));
  return node;
}

Node::~Node() = default;

Result<void> Node::open_all(Logger& logger) {
  const int64_t started = clock_.monotonic_ns();
  TRY(store_, chunk::LocalStore::open(*disk_,
                                      {.directory = config_.data + "/chunks",
                                       .segment_bytes = config_.store_segment_bytes,
                                       .reserve_bytes = config_.store_reserve_bytes,
                                       .verify_on_open = config_.store_verify_on_open},
                                      logger));
  extents_ = std::make_unique<chunk::ExtentCache>(
      *store_, chunk::ExtentCache::Options{.bytes_max = config_.cache_content_bytes});
  nodes_ = std::make_unique<tree::CachedNodes>(*store_, tree::CacheOptions{.bytes_max = config_.cache_nodes_bytes});
  TRY(database_, replica::open_rocks_database(*disk_, {.directory = config_.data + "/group-0/state",
                                                       .memtable_bytes = config_.database_memtable_bytes,
                                                       .block_cache_bytes = config_.database_cache_bytes}));
  machine_ = std::make_unique<volume::Machine>(store_.get());
  TRY_DO(machine_->load(*database_));
  TRY(group_, replica::Group::open(*disk_, *database_, *machine_,
                                   {.log_directory = config_.data + "/group-0/log",
                                    .flush_bytes = config_.group_flush_bytes,
                                    .log_segment_bytes = config_.group_segment_bytes},
                                   logger));
  repository_ =
      std::make_unique<volume::Repository>(*group_, *database_, machine_->published(), *store_, *nodes_, clock_);

  collect_database_ = open_counts(logger);
  if (collect_database_)
    collector_ = std::make_unique<collect::Collector>(*database_, *collect_database_, *store_, clock_);
  else
    return fail(Code::Io, config_.data + "/collect: can't be opened, nor made anew");

  const std::string key_path = config_.data + "/signing.pem";
  TRY(const bool has_key, disk_->exists(key_path));
  if (!has_key) {
    TRY(const auto fresh, publish::SigningKey::generate());
    TRY_DO(fresh.save(*disk_, key_path));
  }
  TRY(auto key, publish::SigningKey::load(*disk_, key_path));
  signing_key_ = std::make_unique<publish::SigningKey>(std::move(key));
  publisher_ = std::make_unique<publish::Publisher>(*repository_, *signing_key_, config_.publish, logger);
  TRY_DO(open_master_key());
  TRY_DO(open_keys());
  logger.info("store open", {{"data", config_.data},
                             {"chunks", store_->stats().chunks},
                             {"disk_bytes", store_->stats().disk_bytes},
                             {"quarantined", store_->stats().quarantined},
                             {"volumes", static_cast<uint64_t>(machine_->published().load()->volumes.size())},
                             {"slot", group_->applied_slot().value},
                             {"took_ms", (clock_.monotonic_ns() - started) / 1'000'000}});
  return {};
}

Result<void> Node::open_master_key() {
  const std::string path = config_.master_key_file.empty() ? config_.data + "/master.key" : config_.master_key_file;
  TRY(const bool exists, disk_->exists(path));
  if (!exists) {
    // A lost one is not replaced: what it sealed would be gone without a word.
    for (const auto& [id, key] : machine_->published().load()->keys)
      if (!key->sealed_secret.empty())
        return fail(Code::NotFound,
                    fmt::format("{} is missing: the secrets of access keys are sealed with it; put it back", path));
    TRY(const auto fresh, random_hex(kMasterKeyBytes));
    TRY_DO(write_private(path, fresh + "\n"));
  }
  TRY(const auto text, disk::read_file(*disk_, path, 1024));
  if (!from_hex(ByteView(text).substr(0, text.find('\n')), master_key_) || master_key_.size() != kMasterKeyBytes)
    return fail(Code::Invalid, fmt::format("{}: not 64 hex digits", path));
  return {};
}

// Whole or not there: a crash must not leave half a key that the next start takes for one.
Result<void> Node::write_private(const std::string& path, ByteView text) {
  const std::string fresh = path + ".tmp";
  {
    TRY(const auto file, disk_->open(fresh, disk::OpenMode::Create));
    if (file->native_handle() >= 0 && ::fchmod(file->native_handle(), 0600) != 0)  // before the secret is in it
      return fail(Code::Io, fmt::format("{}: cannot make it private", fresh));
    TRY_DO(file->truncate(0));
    TRY_DO(file->write_at(0, text));
    TRY_DO(file->sync());
  }
  TRY_DO(disk_->rename(fresh, path));
  return disk_->sync_directory(disk::parent_directory(path));
}

// Derived data: what can't be opened is made anew, at the cost of a recount.
std::unique_ptr<replica::Database> Node::open_counts(Logger& logger) {
  const std::string directory = config_.data + "/collect";
  const auto open = [&] {
    return replica::open_rocks_database(
        *disk_,
        {.directory = directory, .memtable_bytes = 4u << 20, .block_cache_bytes = 8u << 20, .files_open_max = 64});
  };
  auto opened = open();
  if (!opened && opened.error().code == Code::Corrupt) {
    logger.warn("counts of references unusable, counting anew",
                {{"directory", directory}, {"error", opened.error().message}});
    if (const auto names = disk_->list(directory))
      for (const std::string& name : *names) (void)disk_->remove(directory + "/" + name);
    opened = open();
  }
  if (!opened) {
    logger.error("counts of references can't be opened", {{"directory", directory}, {"error", opened.error().message}});
    return nullptr;
  }
  return *std::move(opened);
}

// The first access key: written to its file before it is committed, so that a crash between never leaves a key nobody
// knows.
Result<void> Node::open_keys() {
  const std::string path = config_.data + "/admin.key";
  if (!machine_->published().load()->keys.empty()) {
    if (auto text = disk::read_file(*disk_, path, 1024)) {
      admin_key_ = text->substr(0, text->find('\n'));
    }
    return {};
  }
  TRY(const auto id, random_hex(8));
  TRY(const auto secret, random_hex(32));
  admin_key_ = "hs" + id + ":" + secret;
  TRY_DO(write_private(path, admin_key_ + "\n"));
  volume::AccessKey key{.id = "hs" + id,
                        .name = "admin",
                        .role = volume::Role::Admin,
                        .volumes = {"*"},
                        .secret_hash = Bytes(sha256(secret).view()),
                        .created = clock_.wall()};
  TRY(key.sealed_secret, seal_secret(master_key_, key.id, secret));
  TRY_DO(repository_->submit({"system", {}}, volume::PutKey{std::move(key)}));
  return {};
}

void Node::drain() {
  if (group_) group_->drain();
  if (store_)
    if (auto synced = store_->sync(); !synced) return;  // nothing unsynced was ever acknowledged
}

}  // namespace hailstone::server
