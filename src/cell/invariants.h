// What must hold of the cell's database after every command: for tests, simulation and fuzzing.
#pragma once

#include "base/error.h"
#include "replica/database.h"

namespace hailstone::cell {

/// Reads everything. Corrupt, naming the first record that contradicts another (README.md, "Invariants").
Result<void> check_invariants(const replica::Reader& state);

}  // namespace hailstone::cell
