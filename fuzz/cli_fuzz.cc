// Any text as the names of the command line: never a crash, and what is accepted says what it means.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone;
  using namespace hailstone::cli;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto at = parse_location(text)) {
    CHECK(!at->volume.empty() && text.starts_with(at->volume));
    CHECK(text.ends_with(at->path));
    if (at->release()) CHECK(!at->draft());
  }
  if (const auto at = parse_target(text))
    CHECK(at->path.empty() && (at->target() == text || at->target() + "/" == text));
  if (const auto at = parse_object(text)) CHECK(!at->path.empty());
  if (const auto at = parse_release(text)) CHECK(at->release().has_value());
  if (const auto at = parse_draft(text)) CHECK(at->draft().has_value());
  if (const auto at = parse_channel(text)) CHECK(!at->ref.empty());
  if (const auto volume = parse_volume(text)) CHECK(*volume == text || *volume + "/" == text);
  if (const auto flip = parse_flip(text)) CHECK(!flip->channel.empty());
  (void)parse_published(text);
  Code code{};
  (void)parse_code(text, code);
  return 0;
}
