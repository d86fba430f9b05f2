#include "depot/options.h"

#include <fmt/format.h>

namespace hailstone::depot {

Result<void> Options::validate() const {
  const auto within = [](std::string_view name, uint64_t value, uint64_t least, uint64_t most) -> Result<void> {
    if (value >= least && value <= most) return {};
    return fail(Code::Invalid, fmt::format("depot.{} is {}: must be {} to {}", name, value, least, most));
  };
  if (!base_url.empty()) {
    const bool scheme = base_url.starts_with("http://") || base_url.starts_with("https://");
    if (!scheme || base_url.ends_with('/'))
      return fail(
          Code::Invalid,
          fmt::format("depot.base_url is '{}': must begin with http:// or https:// and not end with '/'", base_url));
  }
  TRY_DO(within("retry_after_seconds", retry_after_seconds, 1, 86'400));
  TRY_DO(within("cookie_pin_seconds", cookie_pin_seconds, 1, 31'536'000));
  TRY_DO(within("memory_body_max", memory_body_max, 0, 1u << 20));
  TRY_DO(within("unpacked_body_max", unpacked_body_max, 0, 4u << 20));
  TRY_DO(within("modified_paths", modified_paths, 1, 10'000'000));
  TRY_DO(within("missing_paths", missing_paths, 1, 10'000'000));
  TRY_DO(within("by_hash_directories", by_hash_directories, 1, 10'000));
  TRY_DO(within("release_records", release_records, 1, 1'000'000));
  TRY_DO(within("gzip_bytes_max", gzip_bytes_max, 0, 64u << 20));
  TRY_DO(within("listing_entries", listing_entries, 1, listing_entries_max));
  TRY_DO(within("listing_entries_max", listing_entries_max, 1, 100'000));
  TRY_DO(within("search_hits_max", search_hits_max, 1, 10'000));
  return {};
}

}  // namespace hailstone::depot
