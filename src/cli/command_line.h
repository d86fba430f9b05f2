// The whole command line: parses, runs one command, reports its error, returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace hailstone::cli {

/// `arguments` without the program's name. Never throws.
int run(const std::vector<std::string>& arguments, Environment& environment, const Hooks& hooks);

}  // namespace hailstone::cli
