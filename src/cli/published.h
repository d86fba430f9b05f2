// How the answer of a publish, revert or import --publish is shown.
#pragma once

#include "cli/context.h"

namespace hailstone::cli {

/// {"releases":[{"volume","release","channels","added","changed","removed","warnings"}]}
void print_published(const Context& context, const Json& answer);

}  // namespace hailstone::cli
