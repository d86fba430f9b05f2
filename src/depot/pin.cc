#include "depot/pin.h"

#include <fmt/format.h>

#include <charconv>

namespace hailstone::depot {
namespace {

constexpr std::string_view kName = "hailstone-pin=";

}  // namespace

std::optional<ReleaseNumber> read_pin(std::string_view cookie, ByteView volume) {
  while (!cookie.empty()) {
    const size_t end = cookie.find(';');
    std::string_view pair = cookie.substr(0, end);
    cookie.remove_prefix(end == std::string_view::npos ? cookie.size() : end + 1);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    while (pair.ends_with(' ')) pair.remove_suffix(1);
    if (!pair.starts_with(kName)) continue;
    pair.remove_prefix(kName.size());
    if (!pair.starts_with(volume) || pair.size() <= volume.size() + 1 || pair[volume.size()] != ':') continue;
    pair.remove_prefix(volume.size() + 1);
    uint64_t number = 0;
    const auto [stop, error] = std::from_chars(pair.data(), pair.data() + pair.size(), number);
    if (error != std::errc() || stop != pair.data() + pair.size() || number == 0) continue;
    return ReleaseNumber(number);
  }
  return std::nullopt;
}

Bytes make_pin(ByteView volume, ReleaseNumber release, uint32_t max_age_seconds, bool secure) {
  return fmt::format("{}{}:{}; Path=/{}/; Max-Age={}; HttpOnly; SameSite=Lax{}", kName, volume, release.value, volume,
                     max_age_seconds, secure ? "; Secure" : "");
}

}  // namespace hailstone::depot
