// How the command line names things at the server: VOLUME[@REF][/PATH].
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::cli {

/// "site@draft-7/docs/a" -> volume "site", ref "draft-7", path "docs/a".
struct Location {
  std::string volume;
  std::string ref;  // empty: the head
  Bytes path;       // key or prefix; empty for the whole

  std::string target() const { return ref.empty() ? volume : volume + "@" + ref; }
  std::optional<uint64_t> release() const;  // ref is a number
  std::optional<uint64_t> draft() const;    // ref is draft-N
};

/// Invalid with an example of what is meant.
Result<Location> parse_location(const std::string& text);
/// As above, and no path.
Result<Location> parse_target(const std::string& text);
/// As above, and with a path.
Result<Location> parse_object(const std::string& text);
/// "site@42": volume and release number.
Result<Location> parse_release(const std::string& text);
/// "site@draft-7"
Result<Location> parse_draft(const std::string& text);
/// What can be published: "site" (its head) or "site@draft-7".
Result<Location> parse_published(const std::string& text);
/// Just a volume's name.
Result<std::string> parse_volume(const std::string& text);

/// "site@stable=42"
struct FlipName {
  std::string volume, channel;
  uint64_t release = 0;
};
Result<FlipName> parse_flip(const std::string& text);
/// "site@stable"
Result<Location> parse_channel(const std::string& text);

/// One of the parsers above as a check of the command-line parser: empty when the text is good, else what is wrong.
/// What fails here is wrong usage, found before anything is tried.
template <auto Parse>
std::string checked(const std::string& text) {
  const auto parsed = Parse(text);
  return parsed ? std::string() : parsed.error().message;
}

}  // namespace hailstone::cli
