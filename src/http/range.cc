#include "http/range.h"

#include <algorithm>

#include "http/grammar.h"

namespace hailstone::http {
namespace {

// One spec: "first-last", "first-" or "-suffix".
struct Spec {
  std::optional<uint64_t> first, last;
};

// Digits only; what passes 64 bits is as good as the largest number.
bool parse_number(std::string_view text, std::optional<uint64_t>& out) {
  if (text.empty()) return true;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    const auto digit = static_cast<uint64_t>(c - '0');
    value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
  }
  out = value;
  return true;
}

bool parse_spec(std::string_view text, Spec& spec) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return false;
  if (!parse_number(text.substr(0, dash), spec.first) || !parse_number(text.substr(dash + 1), spec.last)) return false;
  if (!spec.first && !spec.last) return false;
  return !spec.first || !spec.last || *spec.first <= *spec.last;
}

std::optional<ByteRange> resolve(const Spec& spec, uint64_t length) {
  if (length == 0) return std::nullopt;
  if (!spec.first) {
    const uint64_t suffix = std::min(*spec.last, length);
    return suffix == 0 ? std::nullopt : std::optional(ByteRange{length - suffix, suffix});
  }
  if (*spec.first >= length) return std::nullopt;
  const uint64_t last = std::min(spec.last.value_or(UINT64_MAX), length - 1);
  return ByteRange{*spec.first, last - *spec.first + 1};
}

// Joins each range with the one before where they touch or overlap and ascend.
std::vector<ByteRange> coalesce(const std::vector<ByteRange>& ranges) {
  std::vector<ByteRange> out;
  for (const ByteRange& r : ranges) {
    if (!out.empty() && r.offset >= out.back().offset && r.offset <= out.back().offset + out.back().length) {
      const uint64_t end = std::max(out.back().offset + out.back().length, r.offset + r.length);
      out.back().length = end - out.back().offset;
    } else {
      out.push_back(r);
    }
  }
  return out;
}

}  // namespace

ResolvedRanges resolve_ranges(std::optional<std::string_view> field, uint64_t length) {
  using Kind = ResolvedRanges::Kind;
  if (!field) return {};
  std::string_view text = trim(*field);
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || !same_text(text.substr(0, equals), "bytes")) return {};
  text.remove_prefix(equals + 1);
  std::vector<ByteRange> found;
  size_t specs = 0;
  for (std::string_view element; next_element(text, element);) {
    Spec spec;
    if (++specs > kRangesMax || !parse_spec(element, spec)) return {};
    if (const auto range = resolve(spec, length)) found.push_back(*range);
  }
  if (specs == 0) return {};
  if (found.empty()) return {Kind::Unsatisfiable, {}};
  ResolvedRanges resolved{Kind::Satisfiable, coalesce(found)};
  uint64_t total = 0;
  for (const ByteRange& r : resolved.ranges) {
    total += r.length;
    if (total > length) return {};  // overlapping and out of order: more work than the whole
  }
  return resolved;
}

std::string content_range(const ByteRange& range, uint64_t length) {
  return "bytes " + std::to_string(range.offset) + "-" + std::to_string(range.offset + range.length - 1) + "/" +
         std::to_string(length);
}

std::string unsatisfied_range(uint64_t length) { return "bytes */" + std::to_string(length); }

}  // namespace hailstone::http
