#include "publish/search_schema.h"

#include <fmt/format.h>

#include "publish/search.h"

namespace hailstone::publish {
namespace {

constexpr const char* kKeysTable = "CREATE TABLE keys(id INTEGER PRIMARY KEY, key BLOB NOT NULL)";
// Contentless, without column sizes and positions: a term's list has nothing but ids. Terms come ready-made, separated
// by blanks; "ascii" keeps bytes >= 0x80 as they are.
constexpr const char* kWordsTable =
    "CREATE VIRTUAL TABLE words USING fts5(terms, content='', columnsize=0, detail=none, tokenize=\"ascii tokenchars "
    "'#=.-'\")";

// Sorted, as FTS5 of SQLite 3.40 creates them.
constexpr const char* kSchema =
    "CREATE TABLE 'words_config'(k PRIMARY KEY, v) WITHOUT ROWID\n"
    "CREATE TABLE 'words_data'(id INTEGER PRIMARY KEY, block BLOB)\n"
    "CREATE TABLE 'words_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID\n";

}  // namespace

// Merging is done by search_update.cc, a bounded number of pages at a time: left to itself, FTS5 now and then rewrites
// the whole index within one small update.
Result<void> create_search_schema(SqliteDatabase& database) {
  TRY_DO(database.execute(fmt::format("PRAGMA user_version={}", kSearchFormat)));
  TRY_DO(database.execute(kKeysTable));
  TRY_DO(database.execute(kWordsTable));
  return database.execute(
      fmt::format("INSERT INTO words(words, rank) VALUES('pgsz', {}); "
                  "INSERT INTO words(words, rank) VALUES('hashsize', {}); "
                  "INSERT INTO words(words, rank) VALUES('automerge', 0); "
                  "INSERT INTO words(words, rank) VALUES('crisismerge', 256)",
                  kPageBytes - 64, 32u << 20));
}

Result<void> verify_search_schema(SqliteDatabase& database) {
  {
    TRY(auto version, database.prepare("PRAGMA user_version"));
    TRY(const bool row, version.step());
    if (!row || version.integer(0) != kSearchFormat)
      return fail(Code::Unsupported, fmt::format("search index has format {}, this version reads {}: build a new one",
                                                 row ? version.integer(0) : 0, kSearchFormat));
  }
  TRY(auto schema,
      database.prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_autoindex_%' ORDER BY sql"));
  Bytes found;
  for (;;) {
    TRY(const bool row, schema.step());
    if (!row) break;
    found += schema.bytes(0);
    found += '\n';
  }
  const Bytes expected = Bytes(kSchema) + kKeysTable + "\n" + kWordsTable + "\n";
  if (found != expected) return fail(Code::Corrupt, "search index has a foreign schema: " + printable(found));
  return {};
}

}  // namespace hailstone::publish
