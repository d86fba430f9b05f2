// Several databases that have no key in common, read as one.
#pragma once

#include <memory>
#include <vector>

#include "replica/database.h"

namespace hailstone::replica {

/// Where several parts have a key, the first one's value counts. Iteration costs the number of parts for each step.
std::unique_ptr<Reader> join_readers(std::vector<std::unique_ptr<Reader>> parts);

}  // namespace hailstone::replica
