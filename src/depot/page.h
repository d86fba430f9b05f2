// What our generated HTML pages share: frame, style, escaping, sizes and dates.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace hailstone::depot {

struct Crumb {
  Bytes name;  // plain bytes
  Bytes href;  // encoded; empty for the last one, which is where we are
};

struct Page {
  Bytes title;                // plain bytes
  std::vector<Crumb> crumbs;  // the way here
  Bytes search;               // encoded path of the search endpoint; empty: no search box
  Bytes query;                // what was searched, plain
  Bytes main;                 // HTML
  Bytes footer;               // HTML
};
/// A whole document.
Bytes render(const Page& page);

/// Text for HTML content or a quoted attribute. What is not UTF-8 comes out as U+FFFD.
Bytes escape(ByteView text);
/// "0 B", "999 B", "1.5 KiB".
Bytes human_size(uint64_t bytes);
/// "2026-11-22 10:00".
Bytes human_time(UnixMicros time);
/// Crumbs of `prefix` below `base`, an encoded path without a slash at its end.
std::vector<Crumb> crumbs_of(ByteView base, ByteView base_name, ByteView prefix);

inline constexpr std::string_view kPagePolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'";

}  // namespace hailstone::depot
