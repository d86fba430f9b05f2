#include "cli/location.h"

#include <fmt/format.h>

#include <charconv>

namespace hailstone::cli {
namespace {

std::optional<uint64_t> number(std::string_view text) {
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return out;
}

std::unexpected<Error> misnamed(const std::string& text, std::string_view wanted) {
  return fail(Code::Invalid, fmt::format("'{}' is not {}", printable(text), wanted));
}

}  // namespace

std::optional<uint64_t> Location::release() const { return number(ref); }

std::optional<uint64_t> Location::draft() const {
  constexpr std::string_view kDraft = "draft-";
  return ref.starts_with(kDraft) ? number(std::string_view(ref).substr(kDraft.size())) : std::nullopt;
}

Result<Location> parse_location(const std::string& text) {
  Location out;
  const size_t slash = text.find('/');
  const std::string target = text.substr(0, slash);
  if (slash != std::string::npos) out.path = text.substr(slash + 1);
  const size_t at = target.find('@');
  out.volume = target.substr(0, at);
  if (at != std::string::npos) out.ref = target.substr(at + 1);
  if (out.volume.empty() || (at != std::string::npos && out.ref.empty()))
    return misnamed(text,
                    "VOLUME, VOLUME@draft-7, VOLUME@42, VOLUME@CHANNEL or VOLUME@TAG, each with /PATH or without");
  return out;
}

Result<Location> parse_target(const std::string& text) {
  TRY(Location out, parse_location(text));
  if (!out.path.empty()) return misnamed(text, "a target: VOLUME or VOLUME@REF, without a path");
  return out;
}

Result<Location> parse_object(const std::string& text) {
  TRY(Location out, parse_location(text));
  if (out.path.empty()) return misnamed(text, "an object: VOLUME/KEY or VOLUME@REF/KEY");
  return out;
}

Result<Location> parse_release(const std::string& text) {
  TRY(Location out, parse_target(text));
  if (!out.release()) return misnamed(text, "a release: VOLUME@NUMBER, such as site@42");
  return out;
}

Result<Location> parse_draft(const std::string& text) {
  TRY(Location out, parse_target(text));
  if (!out.draft()) return misnamed(text, "a draft: VOLUME@draft-NUMBER, such as site@draft-7");
  return out;
}

Result<Location> parse_published(const std::string& text) {
  TRY(Location out, parse_target(text));
  if (!out.ref.empty() && !out.draft())
    return misnamed(text,
                    "what can be published: VOLUME (its head) or VOLUME@draft-N; 'channel set' re-points channels");
  return out;
}

Result<std::string> parse_volume(const std::string& text) {
  TRY(Location out, parse_target(text));
  if (!out.ref.empty()) return misnamed(text, "a volume's name (no '@')");
  return out.volume;
}

Result<FlipName> parse_flip(const std::string& text) {
  constexpr std::string_view kWanted = "VOLUME@CHANNEL=RELEASE, such as site@stable=42";
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos) return misnamed(text, kWanted);
  const auto release = number(std::string_view(text).substr(equals + 1));
  const auto at = parse_channel(text.substr(0, equals));
  if (!release || *release == 0 || !at) return misnamed(text, kWanted);
  return FlipName{at->volume, at->ref, *release};
}

Result<Location> parse_channel(const std::string& text) {
  TRY(Location out, parse_target(text));
  if (out.ref.empty()) return misnamed(text, "a channel: VOLUME@CHANNEL, such as site@stable");
  return out;
}

}  // namespace hailstone::cli
