#include "publish/sqlite_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstring>
#include <new>

namespace hailstone::publish {
namespace {

/// What the VFS works on; reached through sqlite3_vfs::pAppData.
struct Storage {
  PageFile* pages = nullptr;
  std::optional<Error> error;  // the first; SQLite only learns that there was one
};

/// SQLite's view of the one file.
struct OpenFile {
  sqlite3_file base;
  Storage* storage;
};

Storage& storage_of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file)->storage; }

int failed(Storage& storage, Error error, int code) {
  if (!storage.error) storage.error = std::move(error);
  return code;
}

int file_close(sqlite3_file*) { return SQLITE_OK; }

int file_read(sqlite3_file* file, void* out, int bytes, sqlite3_int64 offset) {
  Storage& storage = storage_of(file);
  auto n = storage.pages->read(static_cast<uint64_t>(offset), {static_cast<char*>(out), static_cast<size_t>(bytes)});
  if (!n) return failed(storage, std::move(n).error(), SQLITE_IOERR_READ);
  return *n == static_cast<size_t>(bytes) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int file_write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  Storage& storage = storage_of(file);
  auto done =
      storage.pages->write(static_cast<uint64_t>(offset), {static_cast<const char*>(data), static_cast<size_t>(bytes)});
  return done ? SQLITE_OK : failed(storage, std::move(done).error(), SQLITE_IOERR_WRITE);
}

int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
  Storage& storage = storage_of(file);
  auto done = storage.pages->truncate(static_cast<uint64_t>(size));
  return done ? SQLITE_OK : failed(storage, std::move(done).error(), SQLITE_IOERR_TRUNCATE);
}

int file_sync(sqlite3_file*, int) { return SQLITE_OK; }  // durable by the chunk store's sync

int file_size(sqlite3_file* file, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(storage_of(file).pages->bytes());
  return SQLITE_OK;
}

int file_lock(sqlite3_file*, int) { return SQLITE_OK; }  // one connection per PageFile
int file_unlock(sqlite3_file*, int) { return SQLITE_OK; }
int file_check_reserved_lock(sqlite3_file*, int* out) {
  *out = 0;
  return SQLITE_OK;
}
int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int file_sector_size(sqlite3_file*) { return static_cast<int>(kPageBytes); }
int file_characteristics(sqlite3_file*) { return 0; }

const sqlite3_io_methods kFileMethods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int vfs_open(sqlite3_vfs* vfs, const char*, sqlite3_file* out, int flags, int* out_flags) {
  auto* file = reinterpret_cast<OpenFile*>(out);
  file->base.pMethods = nullptr;
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return SQLITE_CANTOPEN;  // journals and temporary files have no place here
  file->storage = static_cast<Storage*>(vfs->pAppData);
  file->base.pMethods = &kFileMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}
int vfs_delete(sqlite3_vfs*, const char*, int) { return SQLITE_OK; }
int vfs_access(sqlite3_vfs*, const char*, int, int* out) {
  *out = 0;
  return SQLITE_OK;
}
int vfs_full_path(sqlite3_vfs*, const char* name, int bytes, char* out) {
  sqlite3_snprintf(bytes, out, "%s", name);
  return SQLITE_OK;
}
/// No randomness and no clock: the same edits must make the same bytes.
int vfs_randomness(sqlite3_vfs*, int bytes, char* out) {
  std::memset(out, 0, static_cast<size_t>(bytes));
  return bytes;
}
int vfs_sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
int vfs_time(sqlite3_vfs*, double* out) {
  *out = 2440587.5;  // 1970-01-01 as a Julian day
  return SQLITE_OK;
}
int vfs_last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

/// A VFS per connection, named by its address: SQLite finds a VFS by name only, and this keeps the list free of state
/// that outlives its owner.
struct SqliteDatabase::Connection {
  explicit Connection(PageFile& pages) {
    storage.pages = &pages;
    name = fmt::format("hailstone-{}", static_cast<const void*>(this));
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(OpenFile);
    vfs.mxPathname = 64;
    vfs.zName = name.c_str();
    vfs.pAppData = &storage;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.xAccess = vfs_access;
    vfs.xFullPathname = vfs_full_path;
    vfs.xRandomness = vfs_randomness;
    vfs.xSleep = vfs_sleep;
    vfs.xCurrentTime = vfs_time;
    vfs.xGetLastError = vfs_last_error;
    registered = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
  }
  ~Connection() {
    sqlite3_close_v2(database);
    if (registered) sqlite3_vfs_unregister(&vfs);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Storage storage;
  std::string name;
  sqlite3_vfs vfs{};
  bool registered = false;
  sqlite3* database = nullptr;
};

SqliteDatabase::SqliteDatabase(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
SqliteDatabase::~SqliteDatabase() = default;

Error SqliteDatabase::error(int code) const {
  if (connection_->storage.error) return *connection_->storage.error;
  const Code ours = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? Code::Corrupt
                    : code == SQLITE_NOMEM                          ? Code::Exhausted
                                                                    : Code::Io;
  const char* words = connection_->database != nullptr ? sqlite3_errmsg(connection_->database) : sqlite3_errstr(code);
  return {ours, fmt::format("sqlite code {}: {}", code, words)};
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(PageFile& pages, Mode mode, uint64_t cache_bytes) {
  std::unique_ptr<SqliteDatabase> out(new SqliteDatabase(std::make_unique<Connection>(pages)));
  Connection& connection = *out->connection_;
  const bool reading = mode == Mode::Read;
  const int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                    (reading ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const char* name = reading ? "file:pages?immutable=1" : "file:pages";
  if (const int code = sqlite3_open_v2(name, &connection.database, flags, connection.vfs.zName); code != SQLITE_OK)
    return std::unexpected(out->error(code));
  // What a hostile file could do is bounded: no functions from its schema, no writes to it, structure checked as it is
  // read.
  sqlite3_db_config(connection.database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  TRY_DO(out->execute("PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0"));
  TRY_DO(out->execute(fmt::format("PRAGMA cache_size=-{}", cache_bytes >> 10)));
  if (reading) {
    sqlite3_db_config(connection.database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  } else {
    // secure_delete zeroes fresh and freed space, so that what memory held before never becomes part of the file; FAST:
    // but does not write pages that became free.
    TRY_DO(
        out->execute(fmt::format("PRAGMA page_size={}; PRAGMA auto_vacuum=NONE; PRAGMA locking_mode=EXCLUSIVE; "
                                 "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA secure_delete=FAST",
                                 kPageBytes)));
  }
  return out;
}

Result<void> SqliteDatabase::execute(const std::string& sql) {
  if (const int code = sqlite3_exec(connection_->database, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
    return std::unexpected(error(code));
  return {};
}

Result<Statement> SqliteDatabase::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_->database, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return Statement(*this, statement);
}

Result<void> SqliteDatabase::close() {
  if (const int code = sqlite3_close(connection_->database); code != SQLITE_OK) return std::unexpected(error(code));
  connection_->database = nullptr;
  if (connection_->storage.error) return std::unexpected(*connection_->storage.error);
  return {};
}

Statement::~Statement() { sqlite3_finalize(statement_); }
Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_, parameter, value);
  return *this;
}
Statement& Statement::bind_text(int parameter, ByteView text) {
  sqlite3_bind_text(statement_, parameter, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  return *this;
}
Statement& Statement::bind_blob(int parameter, ByteView blob) {
  sqlite3_bind_blob(statement_, parameter, blob.data(), static_cast<int>(blob.size()), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = database_->error(code);
  reset();
  return std::unexpected(std::move(error));
}

Result<void> Statement::run() {
  TRY(const bool row, step());
  if (row) reset();
  return {};
}

void Statement::reset() { sqlite3_reset(statement_); }

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

ByteView Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

}  // namespace hailstone::publish
