#include "replica/rocks_database.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/experimental.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "replica/rocks_file_system.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;
using rocksdb::Slice;
using rocksdb::Status;

/// Few: a shard must hold many blocks even of a small cache.
constexpr int kCacheShardBits = 3;
constexpr auto kFlushWait = 20ms;  // between looks at whether the disk is full
constexpr auto kStallWait = 1ms;   // while flush and compaction catch up with the writer

Slice slice(ByteView bytes) { return {bytes.data(), bytes.size()}; }
ByteView view(const Slice& bytes) { return {bytes.data(), bytes.size()}; }

Result<void> result_of(const Status& status) {
  if (status.ok()) return {};
  return std::unexpected(error_of(status));
}

/// RocksDB's own chatter has no reader here: errors come back from its calls.
class SilentLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

/// Follows how far flushes made the database durable, by RocksDB's own sequence numbers.
class FlushListener final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool* automatic) override { *automatic = false; }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, Status* status) override {
    {
      const std::lock_guard hold(mutex_);
      if (failure_.ok()) failure_ = *status;
    }
    changed_.notify_all();
  }

  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) override { raise(info.largest_seqno); }

  void raise(uint64_t sequence) {
    {
      const std::lock_guard hold(mutex_);
      durable_ = std::max(durable_, sequence);
    }
    changed_.notify_all();
  }

  /// False when the time is over; an error that a background job met is final.
  Result<bool> wait_for(uint64_t sequence, std::chrono::milliseconds time) {
    std::unique_lock hold(mutex_);
    changed_.wait_for(hold, time, [&] { return durable_ >= sequence || !failure_.ok(); });
    if (durable_ >= sequence) return true;
    TRY_DO(result_of(failure_));
    return false;
  }

 private:
  std::mutex mutex_;  // RocksDB's background threads against ours
  std::condition_variable changed_;
  uint64_t durable_ = 0;
  Status failure_;
};

/// Two contents live in the database, told apart by the first byte of a key: the current one, and one that is staged or
/// was left behind. The key of one zero byte says which is current.
using Generation = char;
constexpr Generation kGenerations[] = {1, 2};
const Bytes kCurrentKey(1, '\0');

Bytes stored_key(Generation generation, ByteView key) {
  Bytes out;
  out.reserve(1 + key.size());
  out.push_back(generation);
  out.append(key);
  return out;
}
Bytes range_end(Generation generation) { return Bytes(1, static_cast<char>(generation + 1)); }

class RocksIterator final : public Iterator {
 public:
  RocksIterator(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, Generation generation, ByteView begin, ByteView end)
      : begin_(stored_key(generation, begin)), end_(stored_key(generation, end)), end_slice_(slice(end_)) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_upper_bound = &end_slice_;
    iterator_.reset(db.NewIterator(options));
    iterator_->Seek(slice(begin_));
  }
  void seek(ByteView key) override {
    const Bytes stored = stored_key(begin_[0], key);
    iterator_->Seek(slice(std::max<ByteView>(stored, begin_)));
  }
  void next() override { iterator_->Next(); }
  bool valid() const override { return iterator_->Valid(); }
  ByteView key() const override { return view(iterator_->key()).substr(1); }
  ByteView value() const override { return view(iterator_->value()); }
  Result<void> status() const override { return result_of(iterator_->status()); }

 private:
  const Bytes begin_;
  const Bytes end_;
  const Slice end_slice_;  // RocksDB keeps a pointer to it
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

/// RocksDB counts each comparison for the thread at hand, unless told not to: nobody reads that here.
void count_nothing() { rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable); }

Result<std::optional<Bytes>> get_at(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, ByteView stored) {
  count_nothing();
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  Bytes value;
  const Status status = db.Get(options, slice(stored), &value);
  if (status.IsNotFound()) return std::nullopt;
  TRY_DO(result_of(status));
  return value;
}

class RocksSnapshot final : public Reader {
 public:
  RocksSnapshot(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, Generation generation)
      : db_(db), snapshot_(snapshot), generation_(generation) {}
  ~RocksSnapshot() override { db_.ReleaseSnapshot(snapshot_); }
  Result<std::optional<Bytes>> get(ByteView key) const override {
    return get_at(db_, snapshot_, stored_key(generation_, key));
  }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return std::make_unique<RocksIterator>(db_, snapshot_, generation_, begin, end);
  }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
  const Generation generation_;
};

class RocksDatabase final : public Database {
 private:
  /// How often the content was changed for another: a count, as a generation comes back.
  static Generation generation_of(uint64_t change) { return kGenerations[change % 2]; }
  Generation current() const { return generation_of(changes_); }
  Generation other() const { return generation_of(changes_ + 1); }

  template <class Read>
  auto with_current(Read&& read) const {
    while (true) {
      const uint64_t before = changes_;
      auto out = read(generation_of(before));
      if (changes_ == before) return out;
    }
  }

 public:
  explicit RocksDatabase(disk::Disk& disk) : env_(make_rocks_env(disk, room_)) {}
  ~RocksDatabase() override { room_.close(); }

  Result<void> open(const RocksOptions& options) {
    rocksdb::DB* db = nullptr;
    const Status status = rocksdb::DB::Open(settings(options), options.directory, &db);
    db_.reset(db);
    TRY_DO(result_of(status));
    room_.open();
    listener_->raise(db_->GetLatestSequenceNumber());  // without a WAL, what it opened with is in its tables
    if (options.verify) TRY_DO(result_of(db_->VerifyChecksum()));
    return load_current();
  }

  // What a reader took before the content was changed for another shows the former: nothing of it is erased before
  // changes_ has gone on.
  Result<std::optional<Bytes>> get(ByteView key) const override {
    return with_current([&](Generation current) { return get_at(*db_, nullptr, stored_key(current, key)); });
  }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return with_current(
        [&](Generation current) { return std::make_unique<RocksIterator>(*db_, nullptr, current, begin, end); });
  }
  std::unique_ptr<Reader> snapshot() const override {
    return with_current(
        [&](Generation current) { return std::make_unique<RocksSnapshot>(*db_, db_->GetSnapshot(), current); });
  }

  Result<void> write(const Batch& batch) override { return write_to(current(), batch); }
  Result<void> stage(const Batch& batch) override { return write_to(other(), batch); }
  Result<std::optional<Bytes>> staged(ByteView key) const override {
    return get_at(*db_, nullptr, stored_key(other(), key));
  }

  Result<void> discard_staged() override {
    rocksdb::WriteBatch out;
    TRY_DO(result_of(out.Put(kCurrentKey, Bytes(1, current()))));
    TRY_DO(erase_generation(other(), out));
    return write_out(out);
  }

  Result<void> adopt_staged() override {
    const Generation former = current();
    rocksdb::WriteBatch out;
    TRY_DO(result_of(out.Put(kCurrentKey, Bytes(1, other()))));
    TRY_DO(write_out(out));
    TRY_DO(flush());
    ++changes_;
    out.Clear();
    TRY_DO(erase_generation(former, out));
    TRY_DO(write_out(out));
    const Bytes begin(1, former), end = range_end(former);
    const Slice from = slice(begin), to = slice(end);
    return result_of(rocksdb::experimental::SuggestCompactRange(db_.get(), &from, &to));
  }

  Result<void> flush() override {
    const uint64_t flushing = unflushed_.exchange(0);
    auto flushed = flush_to(db_->GetLatestSequenceNumber());
    if (!flushed) unflushed_ += flushing;
    return flushed;
  }

  uint64_t unflushed_bytes() const override { return unflushed_; }

  Result<void> ready() override {
    if (room_.full()) return full();
    return {};
  }

 private:
  Result<void> load_current() {
    TRY(const auto value, get_at(*db_, nullptr, kCurrentKey));
    if (!value) return {};
    if (*value != Bytes(1, generation_of(0)) && *value != Bytes(1, generation_of(1)))
      return fail(Code::Corrupt, "the key that names the current content holds something else");
    changes_ = *value == Bytes(1, generation_of(0)) ? 0 : 1;
    return {};
  }

  static Result<void> erase_generation(Generation generation, rocksdb::WriteBatch& out) {
    return result_of(out.DeleteRange(Bytes(1, generation), range_end(generation)));
  }

  Result<void> write_to(Generation generation, const Batch& batch) {
    rocksdb::WriteBatch out;
    const Slice prefix(&generation, 1);
    for (const auto& op : batch.ops()) {
      const Slice key[] = {prefix, slice(op.key)};
      const Slice value[] = {slice(op.value)};
      switch (op.kind) {
        case Batch::Op::Kind::Put:
          TRY_DO(result_of(out.Put(rocksdb::SliceParts(key, 2), rocksdb::SliceParts(value, 1))));
          break;
        case Batch::Op::Kind::Erase: TRY_DO(result_of(out.Delete(rocksdb::SliceParts(key, 2)))); break;
        case Batch::Op::Kind::EraseRange:
          if (op.key < op.value)
            TRY_DO(result_of(out.DeleteRange(stored_key(generation, op.key), stored_key(generation, op.value))));
          break;
      }
    }
    return write_out(out);
  }

  Result<void> write_out(rocksdb::WriteBatch& out) {
    count_nothing();
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    options.no_slowdown = true;  // Incomplete instead of a wait that no full disk would end
    Status status = db_->Write(options, &out);
    while (status.IsIncomplete()) {
      if (room_.full()) return full();
      std::this_thread::sleep_for(kStallWait);
      status = db_->Write(options, &out);
    }
    TRY_DO(result_of(status));
    unflushed_ += out.GetDataSize();
    return {};
  }

  static std::unexpected<Error> full() {
    return fail(Code::Exhausted, "rocksdb: disk full: a flush or compaction waits for room");
  }

  Result<void> flush_to(uint64_t sequence) {
    TRY(bool durable, listener_->wait_for(sequence, 0ms));
    if (durable) return {};
    rocksdb::FlushOptions options;
    options.wait = false;              // we do, and look at the disk meanwhile
    options.allow_write_stall = true;  // the log grows until this is done
    for (bool begun = false; !durable;) {
      if (room_.full()) return full();
      if (!begun) {
        const Status status = db_->Flush(options);
        if (!status.IsTryAgain()) TRY_DO(result_of(status));  // while writes are held back
        begun = status.ok();
      }
      TRY(durable, listener_->wait_for(sequence, kFlushWait));
    }
    return {};
  }

  rocksdb::Options settings(const RocksOptions& options) const {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    // Filters and indexes stay inside the cache's bound, in pieces: a filter of a million keys is larger than a shard
    // of the cache, would never be kept, and would be read anew for each lookup.
    table.cache_index_and_filter_blocks = true;
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 16 << 10;
    table.pin_top_level_index_and_filter = true;
    table.format_version = 5;

    rocksdb::Options out;
    out.env = env_.get();
    out.create_if_missing = true;
    out.info_log = std::make_shared<SilentLog>();
    out.listeners.push_back(listener_);
    out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    out.write_buffer_size = options.memtable_bytes;
    out.max_write_buffer_number = 2;
    out.max_open_files = options.files_open_max;
    out.max_background_jobs = 2;
    out.level_compaction_dynamic_level_bytes = true;
    out.avoid_flush_during_shutdown = true;  // what is not flushed is in the group's log
    out.max_manifest_file_size = 4u << 20;
    out.stats_dump_period_sec = 0;
    out.stats_persist_period_sec = 0;
    out.db_host_id = "";
    const auto compressions = rocksdb::GetSupportedCompressions();
    const auto has = [&](rocksdb::CompressionType type) {
      return std::ranges::find(compressions, type) != compressions.end();
    };
    out.compression = has(rocksdb::kLZ4Compression) ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
    if (has(rocksdb::kZSTD)) out.bottommost_compression = rocksdb::kZSTD;
    return out;
  }

  Room room_;
  std::unique_ptr<rocksdb::Env> env_;
  const std::shared_ptr<FlushListener> listener_ = std::make_shared<FlushListener>();
  std::unique_ptr<rocksdb::DB> db_;
  std::atomic<uint64_t> unflushed_ = 0;
  std::atomic<uint64_t> changes_ = 0;
};

/// RocksDB takes a damaged CURRENT for a missing file, as if there were hope in trying again.
Result<void> check_current(disk::Disk& disk, const std::string& directory) {
  const std::string path = directory + "/CURRENT";
  TRY(const bool there, disk.exists(path));
  if (!there) return {};
  const auto content = disk::read_file(disk, path, 64);
  if (!content && content.error().code != Code::Invalid) return std::unexpected(content.error());
  bool names = content && content->starts_with("MANIFEST-") && content->ends_with('\n');
  if (names) {
    TRY(names, disk.exists(directory + "/" + content->substr(0, content->size() - 1)));
  }
  if (!names) return fail(Code::Corrupt, path + ": names no manifest that is there");
  return {};
}

std::string damage_mark(const std::string& directory) { return directory + ".damaged"; }

}  // namespace

Result<std::unique_ptr<Database>> open_rocks_database(disk::Disk& disk, const RocksOptions& options) {
  TRY_DO(disk.make_directories(options.directory));
  TRY_DO(check_current(disk, options.directory));
  auto database = std::make_unique<RocksDatabase>(disk);
  auto opened = database->open(options);
  if (!opened) return std::unexpected(std::move(opened).error().within(options.directory));
  return database;
}

Result<std::unique_ptr<Database>> open_or_replace_rocks_database(disk::Disk& disk, const RocksOptions& options,
                                                                 Logger& logger) {
  const std::string mark = damage_mark(options.directory);
  TRY(const bool marked, disk.exists(mark));
  if (!marked) {
    auto opened = open_rocks_database(disk, options);
    if (opened || opened.error().code != Code::Corrupt) return opened;
    logger.error("database_damaged", {{"error", opened.error().message}});
    TRY_DO(mark_rocks_database_damaged(disk, options.directory));  // so that a crash in between is no third state
  }
  std::string aside;
  for (int n = 1;; ++n) {
    aside = fmt::format("{}.damaged-{}", options.directory, n);
    TRY(const bool there, disk.exists(aside));
    if (!there) break;
  }
  TRY_DO(disk.make_directories(aside));
  TRY_DO(disk.make_directories(options.directory));
  TRY(const auto names, disk.list(options.directory));
  for (const std::string& name : names) TRY_DO(disk.rename(options.directory + "/" + name, aside + "/" + name));
  TRY_DO(disk.remove(mark));
  logger.error("database_set_aside", {{"damaged", aside}});
  return open_rocks_database(disk, options);
}

Result<void> mark_rocks_database_damaged(disk::Disk& disk, const std::string& directory) {
  return disk::write_file_atomic(disk, damage_mark(directory), "damage was met while it was in use\n");
}

}  // namespace hailstone::replica
