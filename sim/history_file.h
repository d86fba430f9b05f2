// A history as text, one operation a line, so that a failing one can be stored, read by eye, edited and checked again.
//
// The first line is "hailstone history 1". Empty lines and lines that start with '#' say nothing. Any other line is
//
//   CALL RETURN CLIENT KEY OPERATION -> ANSWER
//
// with words separated by spaces: CALL and RETURN in ns (decimal, may be negative), CLIENT, KEY and all values decimal
// and below 2^64. OPERATION and the answers it can have:
//
//   read           VALUE | absent          acquire   granted SEQUENCER | busy
//   write VALUE    ok                      release   ok | not_holder
//   cas OLD NEW    ok | mismatch           expire    ok | not_holder
//   delete         ok
//
// OLD and NEW may be "absent". ANSWER may be "failed" or "unknown" for all; RETURN is "-" if unknown, and only then.
//
//   hailstone history 1
//   0 10 1 5 write 7 -> ok
//   12 - 2 5 cas 7 8 -> unknown
//   20 31 1 5 read -> 8
#pragma once

#include <string>
#include <string_view>

#include "sim/linearizability.h"

namespace hailstone::sim {

/// One line, without its end.
std::string format_operation(const Operation& operation);

/// The whole file. parse_history gives the same operations back, less what their kind and outcome leave without
/// meaning.
std::string format_history(const History& history);

/// Invalid, naming the line, if `text` is anything else than described above. Does not judge the history itself.
Result<History> parse_history(std::string_view text);

}  // namespace hailstone::sim
