// Content types by file name, for the files that repositories hold.
#pragma once

#include <string_view>

namespace hailstone::http {

/// Of the last path segment: by its whole name ("InRelease", "Packages"), else by its last extension, ASCII case
/// ignored. "application/octet-stream" when nothing is known, as for by-hash names. Text types say their charset.
std::string_view content_type_of(std::string_view path);

}  // namespace hailstone::http
