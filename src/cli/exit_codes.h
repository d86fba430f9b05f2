// The one table from error codes to exit codes of the process.
#pragma once

#include <string>

#include "base/error.h"

namespace hailstone::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;  // part of the work failed; an error code this version does not know
inline constexpr int kExitUsage = 2;    // the command line itself is wrong: nothing was tried

int exit_code_of(Code code);
/// "invalid" -> Code::Invalid; nothing for names of a newer server.
bool parse_code(std::string_view name, Code& out);
/// What to do about it, for people; may be empty.
std::string_view advice(Code code);
/// The table as text, for --help and docs.
std::string exit_code_table();

}  // namespace hailstone::cli
