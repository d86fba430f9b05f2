// The search database's schema and settings, shared by those who write and those who read it.
#pragma once

#include "base/error.h"
#include "publish/sqlite_database.h"

namespace hailstone::publish {

/// Creates the tables in an empty database.
Result<void> create_search_schema(SqliteDatabase& database);

/// Unsupported: another kSearchFormat. Corrupt: any other tables, indexes, views or triggers than ours: the file may
/// come from another cell, and what its schema says would be executed.
Result<void> verify_search_schema(SqliteDatabase& database);

}  // namespace hailstone::publish
