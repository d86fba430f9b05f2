// Judges what locks are for: no write of a former holder takes effect once a later one has been told that it holds the
// lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "sim/linearizability.h"

namespace hailstone::sim {

/// A Write of a history that was made under a grant of a lock. Its key is written by such writes only, and no value is
/// written twice.
struct FencedWrite {
  size_t operation = 0;  // index in the history
  uint64_t lock = 0;     // its key there
  uint64_t sequencer = 0;
};

/// Empty, or what is wrong: a write that was done though a grant with a higher sequencer had returned before it was
/// called; or one, be its outcome known or not, whose value appeared between two reads that followed such a grant.
/// Time is about writes times reads of their keys.
std::string check_fencing(const History& history, std::span<const FencedWrite> writes);

}  // namespace hailstone::sim
