#include "replica/rocks_database.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "replica/rocks_file_system.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;
using rocksdb::Slice;
using rocksdb::Status;

/// Flush waits by itself as a rule; these bound the case where it does not.
constexpr auto kFlushWait = 100ms;
constexpr int kFlushAttemptsMax = 600;
constexpr auto kReadyInterval = 100ms;

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
///
/// DB::Flush cannot be asked: in 7.8, once a Resume() has failed, it returns OK without waiting for the flush it began
/// (WaitForFlushMemTables leaves on the stale recovery error), and a log trimmed on that word would lose commands.
class FlushListener final : public rocksdb::EventListener {
 public:
  /// RocksDB's own recovery from a full disk polls every few seconds and refuses Resume() meanwhile.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool* automatic) override { *automatic = false; }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, Status* status) override {
    if (status->IsNoSpace()) disk_full = true;
  }

  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) override { raise(info.largest_seqno); }

  void raise(uint64_t sequence) {
    {
      const std::lock_guard hold(mutex_);
      durable_ = std::max(durable_, sequence);
    }
    changed_.notify_all();
  }

  bool wait_for(uint64_t sequence, std::chrono::milliseconds time) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, time, [&] { return durable_ >= sequence; });
  }

  std::atomic<bool> disk_full = false;  // a background job found it so, and was not resumed since

 private:
  std::mutex mutex_;  // RocksDB's flush thread against ours
  std::condition_variable changed_;
  uint64_t durable_ = 0;
};

class RocksIterator final : public Iterator {
 public:
  RocksIterator(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, ByteView begin, ByteView end)
      : begin_(begin), end_(end), end_slice_(slice(end_)) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_upper_bound = &end_slice_;
    iterator_.reset(db.NewIterator(options));
    seek(begin_);
  }
  void seek(ByteView key) override { iterator_->Seek(slice(std::max<ByteView>(key, begin_))); }
  void next() override { iterator_->Next(); }
  bool valid() const override { return iterator_->Valid(); }
  ByteView key() const override { return view(iterator_->key()); }
  ByteView value() const override { return view(iterator_->value()); }
  Result<void> status() const override { return result_of(iterator_->status()); }

 private:
  const Bytes begin_;
  const Bytes end_;
  const Slice end_slice_;  // RocksDB keeps a pointer to it
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

Result<std::optional<Bytes>> get_at(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, ByteView key) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  Bytes value;
  const Status status = db.Get(options, slice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  TRY_DO(result_of(status));
  return value;
}

class RocksSnapshot final : public Reader {
 public:
  explicit RocksSnapshot(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
  ~RocksSnapshot() override { db_.ReleaseSnapshot(snapshot_); }
  Result<std::optional<Bytes>> get(ByteView key) const override { return get_at(db_, snapshot_, key); }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return std::make_unique<RocksIterator>(db_, snapshot_, begin, end);
  }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksDatabase final : public Database {
 public:
  explicit RocksDatabase(disk::Disk& disk) : env_(make_rocks_env(disk)) {}

  Result<void> open(const RocksOptions& options) {
    rocksdb::DB* db = nullptr;
    const Status status = rocksdb::DB::Open(settings(options), options.directory, &db);
    db_.reset(db);
    TRY_DO(result_of(status));
    listener_->raise(db_->GetLatestSequenceNumber());  // without a WAL, what it opened with is in its tables
    return {};
  }

  Result<std::optional<Bytes>> get(ByteView key) const override { return get_at(*db_, nullptr, key); }
  std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const override {
    return std::make_unique<RocksIterator>(*db_, nullptr, begin, end);
  }
  std::unique_ptr<Reader> snapshot() const override { return std::make_unique<RocksSnapshot>(*db_); }

  Result<void> write(const Batch& batch) override {
    rocksdb::WriteBatch out;
    for (const auto& op : batch.ops()) {
      switch (op.kind) {
        case Batch::Op::Kind::Put: TRY_DO(result_of(out.Put(op.key, op.value))); break;
        case Batch::Op::Kind::Erase: TRY_DO(result_of(out.Delete(op.key))); break;
        case Batch::Op::Kind::EraseRange:
          if (op.key < op.value) TRY_DO(result_of(out.DeleteRange(op.key, op.value)));
          break;
      }
    }
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    TRY_DO(persistently([&] { return db_->Write(options, &out); }));
    unflushed_ += out.GetDataSize();
    return {};
  }

  Result<void> flush() override {
    const uint64_t flushing = unflushed_.exchange(0);
    auto flushed = flush_to(db_->GetLatestSequenceNumber());
    if (!flushed) unflushed_ += flushing;
    return flushed;
  }

  uint64_t unflushed_bytes() const override { return unflushed_; }

  Result<void> ready() override {
    if (!listener_->disk_full) return {};
    const auto now = std::chrono::steady_clock::now();
    if (now - last_try_ >= kReadyInterval) {
      last_try_ = now;
      refusal_ = resume();
    }
    return refusal_;
  }

 private:
  Result<void> flush_to(uint64_t sequence) {
    rocksdb::FlushOptions options;
    options.wait = true;
    options.allow_write_stall = true;  // the log grows until this is done
    for (int attempt = 0; attempt < kFlushAttemptsMax; ++attempt) {
      if (listener_->wait_for(sequence, 0ms)) return {};
      TRY_DO(persistently([&] { return db_->Flush(options); }));
      if (listener_->wait_for(sequence, kFlushWait)) return {};
    }
    return fail(Code::Io, fmt::format("rocksdb: sequence number {} is not in a table after {} flushes", sequence,
                                      kFlushAttemptsMax));
  }

  /// A flush or compaction that found the disk full stops RocksDB until it is told to try again.
  template <class Call>
  Result<void> persistently(Call call) {
    Status status = call();
    if (!status.IsNoSpace() && !status.IsIncomplete()) return result_of(status);
    TRY_DO(resume());
    status = call();
    // Incomplete: writes are held back because a background job failed; it will say why when it is resumed.
    if (status.IsIncomplete()) return fail(Code::Exhausted, error_of(status).message);
    return result_of(status);
  }

  Result<void> resume() {
    const std::lock_guard one(resume_mutex_);
    listener_->disk_full = false;
    const Status status = db_->Resume();
    if (status.IsNoSpace()) listener_->disk_full = true;
    return result_of(status);
  }

  rocksdb::Options settings(const RocksOptions& options) const {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.cache_index_and_filter_blocks = true;  // inside the cache's bound
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

  std::unique_ptr<rocksdb::Env> env_;
  const std::shared_ptr<FlushListener> listener_ = std::make_shared<FlushListener>();
  std::unique_ptr<rocksdb::DB> db_;
  std::mutex resume_mutex_;                         // writer and flusher: RocksDB answers a second Resume() with Busy
  std::chrono::steady_clock::time_point last_try_;  // the writer's only
  Result<void> refusal_;                            // of the last try
  std::atomic<uint64_t> unflushed_ = 0;
};

}  // namespace

Result<std::unique_ptr<Database>> open_rocks_database(disk::Disk& disk, const RocksOptions& options) {
  TRY_DO(disk.make_directories(options.directory));
  auto database = std::make_unique<RocksDatabase>(disk);
  auto opened = database->open(options);
  if (!opened) return std::unexpected(std::move(opened).error().within(options.directory));
  return database;
}

}  // namespace hailstone::replica
