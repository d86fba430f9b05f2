// Prints a difference page by page: of two releases, or of a draft and its base.
#pragma once

#include <string>

#include "cli/context.h"

namespace hailstone::cli {

/// `path` answers {"changes":[{"key","change","old_size","new_size"}],"next"}. With --json: one document a page.
Result<int> print_changes(Context& context, const std::string& path);

}  // namespace hailstone::cli
