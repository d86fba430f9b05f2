// SQLite over a PageFile: a VFS of our own, so that no real file is ever touched; connections and statements as
// objects.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "publish/page_file.h"

struct sqlite3_stmt;

namespace hailstone::publish {

/// A prepared statement. Lives no longer than its database.
class Statement {
 public:
  ~Statement();
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) = delete;

  /// Parameters count from 1. Bound bytes must stay until the statement is reset.
  Statement& bind(int parameter, int64_t value);
  Statement& bind_text(int parameter, ByteView text);
  Statement& bind_blob(int parameter, ByteView blob);
  /// To the next row: false at the end, after which the statement is reset.
  Result<bool> step();
  /// step() of a statement that gives no rows.
  Result<void> run();
  void reset();
  /// Columns count from 0; views stay valid until the next step().
  int64_t integer(int column) const;
  ByteView bytes(int column) const;

 private:
  friend class SqliteDatabase;
  Statement(class SqliteDatabase& database, sqlite3_stmt* statement) : database_(&database), statement_(statement) {}
  SqliteDatabase* database_;
  sqlite3_stmt* statement_;
};

/// One connection. Not thread-safe. Its PageFile outlives it.
class SqliteDatabase {
 public:
  enum class Mode : uint8_t {
    Read,   // the file never changes: no locks, no checks for change
    Write,  // no journal: after an error the PageFile is to be thrown away
  };
  static Result<std::unique_ptr<SqliteDatabase>> open(PageFile& pages, Mode mode, uint64_t cache_bytes);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  /// Runs statements that give no rows we want.
  Result<void> execute(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);
  /// Writes what is cached to the PageFile. No statement may be left.
  Result<void> close();

 private:
  friend class Statement;
  struct Connection;
  explicit SqliteDatabase(std::unique_ptr<Connection> connection);
  /// The PageFile's own error where there was one, otherwise SQLite's words.
  Error error(int code) const;
  std::unique_ptr<Connection> connection_;
};

}  // namespace hailstone::publish
